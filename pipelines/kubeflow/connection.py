"""A way to a Kubeflow Pipelines server: its address, our credentials, and errors in our own words.

kfp's client knows the kinds of credentials that exist; requests go through the lowest layer below it, since its models
would only be taken apart again.  A request that fails for a passing reason is made again, if it may be.
"""

import json
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kfp
import kfp_server_api
import urllib3

from hopline.runtime.errors import InternalError, UserError
from hopline.runtime.retry import pauses
from pipelines.kubeflow.resources import Json

PATIENCE_SECONDS = 60.0
_TIMEOUTS = (10.0, 60.0)  # to connect, to read
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _CONFLICT, _TOO_MANY = 401, 403, 404, 409, 429
_PORT_FORWARD = "kubectl --namespace kubeflow port-forward service/ml-pipeline-ui 8080:80"


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where the server is and how we prove who we are.

    Attributes:
        host: its URL, which is that of its pages too.
        namespace: of a multi-user installation; "" for what kfp's own settings say, or for none.
        token_file: holds a bearer token, and is read before each request, so that it may be renewed meanwhile.
        ca_file: certificates to trust, PEM; None for the usual ones.
    """

    host: str
    namespace: str = ""
    token_file: Path | None = None
    ca_file: Path | None = None


class NotFoundError(UserError):
    """The server has no such thing."""


class ConflictError(UserError):
    """The server has such a thing already."""


class StrangeAnswerError(UserError):
    """What answers is no Kubeflow Pipelines server, or one of another kind."""

    def __init__(self, host: str, answer: object) -> None:
        shown = answer if isinstance(answer, bytes) else json.dumps(answer)
        super().__init__(
            f"{host} does not answer as a Kubeflow Pipelines server does: {shown[:60]!r}",
            remedy="correct --host; where a login page stands before the server, pass a token with --token-file",
        )


class UnreachableError(InternalError):
    """The server did not answer, or failed itself, for as long as we had patience."""


class Connection:
    """Makes requests.

    Args:
        server: to whom.
        patience: seconds over which a failing request is made again; None for PATIENCE_SECONDS.
        pause: sleeps so many seconds before it is.

    Raises:
        UserError: the server's address, the token or the certificates are of no use.
    """

    def __init__(
        self, server: Server, patience: float | None = None, pause: Callable[[float], None] = time.sleep
    ) -> None:
        if not server.host:
            raise UserError(
                "no Kubeflow Pipelines server is named",
                remedy=f"{_PORT_FORWARD}, then pass --host http://localhost:8080 or set HOPLINE_KFP_HOST to it",
            )
        if not server.host.startswith(("http://", "https://")):
            raise UserError(
                f'--host is "{server.host}", but must begin with http:// or https://',
                remedy=f"pass --host http://{server.host} or --host https://{server.host}",
            )
        self.host, self.pause = server.host.rstrip("/"), pause
        self.patience = PATIENCE_SECONDS if patience is None else patience
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it needs a server newer than 2.0.0-beta.2
            client = _client(server)
        self.namespace: str = server.namespace or client.get_user_namespace()
        self._client = client.runs.api_client
        self._client.rest_client.pool_manager.connection_pool_kw["retries"] = False  # we do that ourselves

    def get(self, path: str, **query: str | int) -> Json:
        """The answer to a GET, whose empty parameters are left out.

        Raises:
            NotFoundError: there is no such thing.
            StrangeAnswerError: the answer is no JSON object.
            UnreachableError: the server did not answer in time.
            UserError: it refuses.
        """
        return _parsed(self.host, self.patiently("GET", path, query=query))

    def patiently(self, method: str, path: str, **request: Any) -> bytes:
        """The body of the answer to a request that does no harm when it is made twice; see `once` and `get`."""
        again = pauses(self.patience)
        while True:
            try:
                return self.once(method, path, **request)
            except UnreachableError:
                if (seconds := next(again, None)) is None:
                    raise
            self.pause(seconds)

    def create(self, path: str, find: Callable[[], Json | None], **request: Any) -> Json:
        """Creates what `find` finds, and returns it as the server has it.

        A request whose answer is lost may have been done: before it is made again, `find` is asked.

        Raises:
            ConflictError: the server has something of this name, and `find` does not find it.
            UnreachableError, UserError: as for `get`.
        """
        again = pauses(self.patience)
        while True:
            try:
                return _parsed(self.host, self.once("POST", path, **request))
            except (ConflictError, UnreachableError) as error:
                seconds = None if isinstance(error, ConflictError) else next(again, None)
                if seconds is not None:
                    self.pause(seconds)
                if found := find():
                    return found
                if seconds is None:
                    raise

    def once(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Json | None = None,
        file: tuple[str, bytes] | None = None,
    ) -> bytes:
        """The body of the answer to one request, which is made once.

        Args:
            method: of HTTP.
            path: from the server's root.
            query: parameters; those that are "" are left out.
            body: sent as JSON.
            file: sent as a form's file `uploadfile`: its name and content.
        """
        kind = "multipart/form-data" if file else "application/json"
        try:
            response = self._client.call_api(
                path,
                method,
                query_params=[(name, value) for name, value in (query or {}).items() if value != ""],
                header_params={"Accept": "application/json", "Content-Type": kind},
                body=body,
                post_params=[("uploadfile", (*file, "application/yaml"))] if file else [],
                auth_settings=["Bearer"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=_TIMEOUTS,
            )
            return bytes(response.data)
        except kfp_server_api.ApiException as error:
            raise self._error(method, path, error) from error
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(f"does not answer: {error}") from error

    def _error(self, method: str, path: str, error: Any) -> UserError | UnreachableError:
        """The error for an answer that is not a success, or for TLS that failed (status 0)."""
        said, status = _message(error), error.status
        if status >= 500 or status == _TOO_MANY:
            return self._unreachable(f"fails: {method} {path} returned {status}: {said}")
        if status in (_UNAUTHORIZED, _FORBIDDEN) or 300 <= status < 400:
            return UserError(
                f"the Kubeflow Pipelines server {self.host} does not accept our credentials: {status}: {said}",
                remedy="they are missing, have expired, or may not do this: put a new token into --token-file",
            )
        if status == _NOT_FOUND:
            return NotFoundError(
                f"{self.host} knows no {path}: {said}", remedy="see what there is: hopline runs list; correct --host"
            )
        if status == _CONFLICT:
            return ConflictError(f"{self.host} refuses {method} {path}: {said}", remedy="choose another name")
        if not status:
            return UserError(
                f"no secure connection to {self.host}: {said}",
                remedy="pass the server's certificate authority with --ca-file, or correct --host",
            )
        return UserError(f"{self.host} refuses {method} {path}: {said}", remedy="correct what the message names")

    def _unreachable(self, what: str) -> UnreachableError:
        return UnreachableError(
            f"the Kubeflow Pipelines server {self.host} {what}",
            remedy=f"see that it runs and that the way to it is open, such as {_PORT_FORWARD}; then run this again",
        )


class _Client(kfp.Client):
    """kfp's client, which asks nothing of the server when it is made: it would wait for half a minute for it."""

    def get_kfp_healthz(self, sleep_duration: int = 5) -> Any:
        """An answer that leaves the namespace as it is."""
        return kfp_server_api.V2beta1GetHealthzResponse(multi_user=False)


class _TokenFile(kfp.client.TokenCredentialsBase):
    """Credentials from a file that another program renews."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def refresh_api_key_hook(self, config: Any) -> None:
        """Puts the file's token into `config`; called before each request."""
        config.api_key["authorization"] = _token(self._path)


def _client(server: Server) -> _Client:
    credentials = None
    if server.token_file:
        _token(server.token_file)
        credentials = _TokenFile(server.token_file)
    if server.ca_file and not server.ca_file.is_file():
        raise UserError(f"there is no file {server.ca_file}", remedy="correct --ca-file")
    return _Client(
        host=server.host,
        namespace=server.namespace or "kubeflow",  # its word for "what the settings say"
        credentials=credentials,
        ssl_ca_cert=str(server.ca_file) if server.ca_file else None,
    )


def _token(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the token in {path}: {error}", remedy="correct --token-file") from error
    if not token or any(character.isspace() for character in token):
        raise UserError(f"{path} holds no token", remedy="write the token alone into --token-file")
    return token


def _message(error: Any) -> str:
    """What the server says in one of its forms of error, or the HTTP reason."""
    try:
        content = json.loads(error.body)
        return str(content.get("message") or content.get("error_message") or content["error"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return str(error.reason)


def _parsed(host: str, text: bytes) -> Json:
    """The answer's JSON object; what is none comes from something between us and the server.

    Raises:
        StrangeAnswerError: it is none.
    """
    try:
        content = json.loads(text or b"{}")
    except ValueError as error:
        raise StrangeAnswerError(host, text) from error
    if not isinstance(content, dict):
        raise StrangeAnswerError(host, text)
    return content
