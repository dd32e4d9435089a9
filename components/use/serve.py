"""Serves a model over HTTP: `hopline serve`.

TensorFlow computes in a few threads; requests wait for one of them, and beyond `_WAITING` they are answered 503.
"""

import functools
import json
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from components.use.completions import Completions
from components.use.tfserving import TfServing
from hopline.runtime.errors import UserError
from hopline.use.model import Model
from hopline.use.requests import ServeRequest

T = TypeVar("T")

_AT_ONCE = 4  # calls of TensorFlow
_WAITING = 256  # requests
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_PAGE = Path(__file__).with_name("page.html")


class Work:
    """Where requests compute: in threads, a few at once, and not for longer than `timeout` seconds each."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._limiter: anyio.CapacityLimiter | None = None
        self._waiting = 0

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """The function's result.

        Raises:
            HTTPException: 503 where too much waits or it takes too long.
        """
        if self._limiter is None:  # it belongs to the event loop, which runs only now
            self._limiter = anyio.CapacityLimiter(_AT_ONCE)
        if self._waiting >= _WAITING:
            raise HTTPException(503, "too many requests are waiting", {"Retry-After": "1"})
        self._waiting += 1
        try:
            with anyio.fail_after(self._timeout):
                run = functools.partial(function, *arguments)
                return await anyio.to_thread.run_sync(run, abandon_on_cancel=True, limiter=self._limiter)
        except TimeoutError as error:
            raise HTTPException(503, f"no answer within {self._timeout:g} seconds: ask for less") from error
        finally:
            self._waiting -= 1

    async def each(self, iterator: Iterator[T]) -> AsyncIterator[T]:
        """The iterator's items, each computed by `call`."""
        end = object()
        while (item := await self.call(next, iterator, end)) is not end:
            yield item


def make_app(model: Model, request: ServeRequest) -> Starlette:
    """The application that answers for `model`."""
    work = Work(request.timeout)
    completions = Completions(model, request, work)
    served = TfServing(model, request, work)

    def with_body(answer: Callable[[Any], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(asked: Request) -> Response:
            return await answer(await read_json(asked, request.max_body))

        return endpoint

    async def page(asked: Request) -> Response:
        policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"
        return HTMLResponse(_PAGE.read_text(encoding="utf-8"), headers={"Content-Security-Policy": policy})

    async def models(asked: Request) -> Response:
        body = await read_json(asked, request.max_body) if asked.method == "POST" else None
        return await served.answer(asked.path_params["rest"], body)

    async def listing(asked: Request) -> Response:
        return JSONResponse(
            {"object": "list", "data": [{"id": request.name, "object": "model", "owned_by": "hopline"}]}
        )

    async def health(asked: Request) -> Response:
        return JSONResponse({"status": "ok", "version": model.located.version})

    routes = [
        Route("/", page),
        Route("/health", health),
        Route("/v1/completions", with_body(completions.answer), methods=["POST"]),
        Route("/v1/models", listing),
        Route("/v1/models/{rest:path}", models, methods=["GET", "POST"]),
    ]
    # A page of another site must not reach a server on this machine by a name of its own.
    hosts = [*_LOOPBACK, "[::1]"] if request.host in _LOOPBACK else ["*"]
    return Starlette(
        routes=routes,
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)],
        exception_handlers={HTTPException: _refused, UserError: _user_error, Exception: _failed},
    )


async def read_json(asked: Request, most: int) -> Any:
    """The request's body.

    Raises:
        HTTPException: 413 if it is longer than `most` bytes, 400 if it is not JSON.
    """
    body = bytearray()
    async for part in asked.stream():
        body += part
        if len(body) > most:
            raise HTTPException(413, f"a request may have {most:,} bytes at most")
    try:
        return json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"the body is not JSON in UTF-8: {error}") from error


def run(request_json: str) -> None:
    """Serves until SIGINT or SIGTERM."""
    request = ServeRequest.from_json(request_json)
    listening = _listen(request)
    model = Model(request.located)
    model.generate("", tokens=1)  # the first calls of TensorFlow take their time
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(f"{model.located.place} is served at http://{shown}:{port} (Ctrl-C ends it)", file=sys.stderr, flush=True)
    config = uvicorn.Config(
        make_app(model, request), log_level="warning", access_log=False, limit_concurrency=_WAITING * 2,
        timeout_keep_alive=5, timeout_graceful_shutdown=3,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[listening])


def _listen(request: ServeRequest) -> socket.socket:
    """The socket, before the model loads.

    Raises:
        UserError: it cannot be had.
    """
    try:
        family = socket.AF_INET6 if ":" in request.host else socket.AF_INET
        return socket.create_server((request.host, request.port), family=family, backlog=256)
    except (OSError, OverflowError) as error:
        raise UserError(
            f"cannot listen on {request.host}, port {request.port}: {error}", remedy="choose another --host or --port"
        ) from error


async def _refused(asked: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(asked, error.status_code, str(error.detail), dict(error.headers or {}))


async def _user_error(asked: Request, error: Exception) -> Response:
    return _error(asked, 400, str(error))


async def _failed(asked: Request, error: Exception) -> Response:
    return _error(asked, 500, f"{type(error).__name__}: {error}")


def _error(asked: Request, status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error in the form of the request's protocol."""
    if asked.url.path.startswith("/v1/models/"):
        return JSONResponse({"error": message}, status, headers)
    kind = "invalid_request_error" if status < 500 else "server_error"
    return JSONResponse({"error": {"message": message, "type": kind, "param": None, "code": None}}, status, headers)
