"""What the launcher asks of a Kubernetes API server, as plain dictionaries.

The official client finds the server and proves who we are; requests go through its lowest layer, since its models would
only be taken apart again.  A request that fails for a passing reason is made again.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import kubernetes
import urllib3

from hopline.runtime.errors import InternalError, UserError
from hopline.runtime.retry import pauses

Manifest = dict[str, Any]

PATIENCE_SECONDS = 300.0  # an upgrade of the control plane takes minutes
_TIMEOUTS = (5.0, 30.0)  # to connect, to read
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_COLLECTIONS = {
    "Job": "/apis/batch/v1/namespaces/{namespace}/jobs",
    "Service": "/api/v1/namespaces/{namespace}/services",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies",
    "Pod": "/api/v1/namespaces/{namespace}/pods",
    "Event": "/api/v1/namespaces/{namespace}/events",
}
_BAD_REQUEST, _NOT_FOUND, _CONFLICT, _TOO_MANY = 400, 404, 409, 429


class UnreachableError(InternalError):
    """The API server did not answer before the time for retries was over."""


class Api:
    """The objects of one namespace.

    Args:
        client: knows the server and our credentials.
        namespace: of all objects.
        pause: sleeps so many seconds before a request is made again.
    """

    def __init__(
        self, client: kubernetes.client.ApiClient, namespace: str, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._client = client
        self.namespace = namespace
        self.pause = pause

    def create(self, manifest: Manifest) -> Manifest | None:
        """Creates the object and returns it as it is now; None if one of its name is there."""
        return self._object("POST", self._path(manifest["kind"]), body=manifest, absent=_CONFLICT)

    def get(self, kind: str, name: str, patience: float = PATIENCE_SECONDS) -> Manifest | None:
        """The object; None if there is none."""
        return self._object("GET", self._path(kind, name), absent=_NOT_FOUND, patience=patience)

    def patch(self, kind: str, name: str, change: Manifest, patience: float = PATIENCE_SECONDS) -> Manifest | None:
        """Merges `change` into the object (RFC 7396) and returns it as it is now.

        None if there is none, or if the object is no longer of the resourceVersion that `change` names.
        """
        known = {_NOT_FOUND, _CONFLICT} if "resourceVersion" in change.get("metadata", {}) else {_NOT_FOUND}
        text = self._request("PATCH", self._path(kind, name), body=change, known=known, patience=patience)
        return None if text is None else dict(json.loads(text))

    def delete(self, kind: str, name: str, uid: str, version: str = "", patience: float = PATIENCE_SECONDS) -> bool:
        """Deletes the object, what it owns first; whether it did.

        False if there is none, another `uid` is in its place, or it is no longer of the resourceVersion `version`.
        """
        conditions = {"uid": uid, **({"resourceVersion": version} if version else {})}
        body = {"propagationPolicy": "Foreground", "preconditions": conditions}
        known = {_NOT_FOUND, _CONFLICT}
        return self._request("DELETE", self._path(kind, name), body=body, known=known, patience=patience) is not None

    def pod(self, name: str) -> Manifest | None:
        """The pod of this name; None if there is none."""
        return next(iter(self._items("Pod", {"fieldSelector": f"metadata.name={name}"})), None)

    def pods(self, selector: str) -> list[Manifest]:
        """The pods with the labels `selector`."""
        return self._items("Pod", {"labelSelector": selector})

    def warnings(self, uid: str) -> list[Manifest]:
        """The warnings among the events of the object `uid`, oldest first as far as the server has it."""
        return self._items("Event", {"fieldSelector": f"involvedObject.uid={uid},type=Warning"})

    def workloads(self, selector: str) -> list[Manifest] | None:
        """Kueue's accounts of Jobs, with the labels `selector`; None if the cluster has no Kueue."""
        group = self._object("GET", "/apis/kueue.x-k8s.io", absent=_NOT_FOUND)
        if group is None:
            return None
        version = group["preferredVersion"]["version"]  # of which it has had several
        path = f"/apis/kueue.x-k8s.io/{version}/namespaces/{self.namespace}/workloads"
        text = self._request("GET", path, query={"labelSelector": selector})
        return list(json.loads(text or b"{}").get("items", []))

    def log(self, pod: str, **query: str) -> str:
        """The log of a pod; "" while there is none or it cannot be had.  One attempt."""
        known = {_BAD_REQUEST, _NOT_FOUND}
        try:
            text = self._request("GET", f"{self._path('Pod', pod)}/log", query=query, known=known, patience=0)
        except UnreachableError:
            return ""
        return "" if text is None else text.decode(errors="replace")

    def _items(self, kind: str, query: Mapping[str, str]) -> list[Manifest]:
        text = self._request("GET", self._path(kind), query=query)
        assert text is not None
        return list(json.loads(text)["items"])

    def _object(self, method: str, path: str, *, absent: int, **request: Any) -> Manifest | None:
        text = self._request(method, path, known={absent}, **request)
        return None if text is None else dict(json.loads(text))

    def _path(self, kind: str, name: str = "") -> str:
        path = _COLLECTIONS[kind].format(namespace=self.namespace)
        return f"{path}/{name}" if name else path

    def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Manifest | None = None,
        known: set[int] | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> bytes | None:
        """The answer; None if its status is one of `known`.

        Raises:
            UnreachableError: no answer after pauses of `patience` seconds altogether.
            UserError: the server refuses the request.
        """
        again = pauses(patience, first=1.0)
        while True:
            try:
                return self._attempt(method, path, query, body)
            except kubernetes.client.ApiException as error:
                if error.status in (known or ()):
                    return None
                if error.status < 500 and error.status not in (_CONFLICT, _TOO_MANY):
                    raise _refusal(method, path, error) from error
                reason = f"{error.status} {_message(error)}"
            except urllib3.exceptions.HTTPError as error:
                reason = str(error)
            if (seconds := next(again, None)) is None:
                raise UnreachableError(
                    f"the Kubernetes API server does not answer: {reason}",
                    remedy="when it does, run the same command again: it finds its Job, which goes on meanwhile",
                )
            print(f"train: {method} {path}: {reason}; again in {seconds:.1f} s", file=sys.stderr)
            self.pause(seconds)

    def _attempt(self, method: str, path: str, query: Mapping[str, str] | None, body: Manifest | None) -> bytes:
        content = "application/merge-patch+json" if method == "PATCH" else "application/json"
        response = self._client.call_api(
            path,
            method,
            query_params=dict(query or {}),
            header_params={"Accept": "application/json, */*", "Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
            _return_http_data_only=True,
            _preload_content=False,
            _request_timeout=_TIMEOUTS,
        )
        return bytes(response.data)


def connect() -> Api:
    """The API of the cluster and namespace that this pod is in, or else of the kubeconfig's current context.

    Raises:
        UserError: there is neither.
    """
    configuration = kubernetes.client.Configuration()
    try:
        if os.environ.get("KUBERNETES_SERVICE_HOST"):
            kubernetes.config.load_incluster_config(client_configuration=configuration)
            namespace = _NAMESPACE_FILE.read_text(encoding="utf-8").strip()
        else:
            kubernetes.config.load_kube_config(client_configuration=configuration)
            namespace = kubernetes.config.list_kube_config_contexts()[1]["context"].get("namespace", "default")
    except (kubernetes.config.ConfigException, OSError) as error:
        raise UserError(
            f"no Kubernetes cluster to train on: {error}",
            remedy="set KUBECONFIG, or in a pod use a service account whose token is mounted",
        ) from error
    configuration.retries = False  # we have our own, which say what they wait for
    return Api(kubernetes.client.ApiClient(configuration), namespace)


def _refusal(method: str, path: str, error: kubernetes.client.ApiException) -> UserError:
    message = _message(error)
    if "exceeded quota" in message:
        remedy = "raise the namespace's quota, or ask for less with --job"
    elif error.status in (401, 403):
        remedy = "apply k8s/base to the namespace, and launch with its service account hopline-launcher"
    else:
        remedy = "correct --job as the message says"
    return UserError(f"the Kubernetes API server refuses {method} {path}: {message}", remedy=remedy)


def _message(error: kubernetes.client.ApiException) -> str:
    """What the server says in its `Status`, or the HTTP reason."""
    try:
        return str(json.loads(error.body)["message"])
    except (ValueError, KeyError, TypeError):
        return str(error.reason)
