"""One request: one id, one access line, one observation, and no stack trace for the client.

The outermost layer of limen's own application, pure ASGI. The id is the caller's X-Request-ID if
it is plainly harmless, or else a new one. It goes into the answer's X-Request-ID header, into
`scope["limen.request_id"]`, and onto every log line written while the request is worked on.

The line and the metrics come as soon as the answer is complete, before background tasks, or when
the application is done with a request that it never completed. For a WebSocket the answer is the
handshake: 101, or the status of the refusal. A request whose client left before any answer is
shown as 499.

An exception that gets this far is logged once, with its request id. Then

    nothing was sent    a problem document, 500 `internal_error`, that names the request id
    all was sent        nothing is left to do (a background task failed)
    half was sent       it is raised on: only the server can cut the connection off, so that
                        the client does not take half an answer for a whole one

Shown is the route's name. The path is shown too, redacted, on one line and cut, because nothing
else tells what an unknown route was; its query string, headers and body never are, and the
client's address only if asked for.
"""

import logging
import re
import secrets
import time
from asyncio import CancelledError
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from limen.telemetry.metrics import Metrics, bounded_method
from limen.telemetry.redaction import one_line, redact_text
from limen.verify.problems import MEDIA_TYPE, NO_STORE, Problem

UNKNOWN_ROUTE: Final = "unknown"
MAX_PATH: Final = 128  # characters of the path that a line shows
CLIENT_LEFT: Final = 499  # no status of HTTP's; nginx made it customary
INTERNAL_ERROR: Final = 1011  # RFC 6455, section 7.4.1

# The messages that start an answer, and the status where the message does not say it.
STARTS: Final = {
    "http.response.start": None,
    "websocket.http.response.start": None,
    "websocket.accept": 101,
}

# Long enough to be unique, short enough to store, and nothing that any log or header could misread.
_ACCEPTABLE_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_HEADER: Final = b"x-request-id"

_log = logging.getLogger("limen.requests")


class RequestLog:
    """An ASGI application around another that accounts for each of its requests.

    Give `client_address` to have every line show the `client` that it returns for the scope.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics | None = None,
        client_address: Callable[[Scope], str] | None = None,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._client_address = client_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and account for it; other scopes are only passed on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, send, self._account)
        with bound_contextvars(request_id=exchange.id):
            try:
                await self._app(scope, receive, exchange.send)
            except CancelledError:
                exchange.settle(CLIENT_LEFT)
                raise
            except Exception as error:
                _log.exception("request failed", extra={"kind": type(error).__name__})
                if not await exchange.fail():
                    raise
            finally:
                exchange.settle(500)  # what a server answers for an application that does not

    def _account(self, scope: Scope, status: int, seconds: float) -> None:
        route = _route_name(scope)
        method = bounded_method(scope.get("method", "WEBSOCKET"))
        if self._metrics is not None:
            self._metrics.observe_request(
                route=route, method=method, status=status, seconds=seconds
            )
        if not _log.isEnabledFor(logging.INFO):
            return
        shown: dict[str, object] = {"method": method, "route": route, "status": status}
        shown |= {"ms": round(seconds * 1000, 1), "path": _shown(scope["path"])}
        if self._client_address is not None:
            shown["client"] = self._client_address(scope)
        _log.info("request", extra=shown)


class _Exchange:
    """One request and how far its answer has come."""

    def __init__(
        self, scope: Scope, send: Send, account: Callable[[Scope, int, float], None]
    ) -> None:
        self.id = _request_id(scope)
        scope["limen.request_id"] = self.id
        self._scope = scope
        self._send = send
        self._account = account
        self._began = time.perf_counter()
        self._status: int | None = None
        self._accounted = False
        self._complete = False

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in STARTS:
            self._status = STARTS[kind] or message["status"]
            headers = [h for h in message.get("headers", ()) if h[0].lower() != _HEADER]
            message = {**message, "headers": [*headers, (_HEADER, self.id.encode("ascii"))]}
        elif kind == "websocket.close" and self._status is None:
            self._status = 403  # what every server answers for it
        await self._send(message)
        self._complete = self._complete or _ends(message)
        if self._complete or kind == "websocket.accept":
            self.settle(500)

    async def fail(self) -> bool:
        """Answer for an application that raised; return whether the client has a whole answer."""
        with suppress(Exception):  # the client is gone too; what failed first has been logged
            if not self._complete and self._scope["type"] == "websocket":
                await self._fail_websocket()
            elif self._status is None:
                await self._answer("http", internal_error(self.id))
        return self._complete

    async def _fail_websocket(self) -> None:
        responds = "websocket.http.response" in (self._scope.get("extensions") or {})
        if self._status is None and responds:
            await self._answer("websocket.http", internal_error(self.id))
        elif self._status in (None, 101):
            await self.send({"type": "websocket.close", "code": INTERNAL_ERROR})

    async def _answer(self, prefix: str, problem: Problem) -> None:
        body = problem.body()
        fields = (("Content-Type", MEDIA_TYPE), ("Content-Length", str(len(body))))
        headers = [
            (name.lower().encode("ascii"), value.encode("ascii"))
            for name, value in (*fields, *problem.headers)
        ]
        shown = b"" if self._scope.get("method") == "HEAD" else body
        start = {"type": f"{prefix}.response.start", "status": problem.status, "headers": headers}
        await self.send(start)
        await self.send({"type": f"{prefix}.response.body", "body": shown})

    def settle(self, status: int) -> None:
        """Account for the exchange, once, as it stands; `status` is for one without an answer."""
        if not self._accounted:
            self._accounted = True
            seconds = time.perf_counter() - self._began
            self._account(self._scope, self._status or status, seconds)


def _ends(message: Message) -> bool:
    if message["type"] in ("http.response.body", "websocket.http.response.body"):
        return not message.get("more_body", False)
    return message["type"] in ("http.response.pathsend", "websocket.close")


def _request_id(scope: Scope) -> str:
    given = [value for name, value in scope["headers"] if name.lower() == _HEADER]
    if len(given) == 1 and _ACCEPTABLE_ID.fullmatch(given[0]):
        return str(given[0], "ascii")
    return secrets.token_hex(16)


def _route_name(scope: Scope) -> str:
    name = getattr(scope.get("route"), "name", None)
    return name if isinstance(name, str) and name else UNKNOWN_ROUTE


def _shown(path: str) -> str:
    # What cannot be shown is not searched either: a path may be 64 KiB long.
    return one_line(redact_text(path[: 8 * MAX_PATH]))[:MAX_PATH]


def internal_error(request_id: str) -> Problem:
    """Return the problem of a request that ended in a mistake of ours."""
    return Problem(
        status=500,
        code="internal_error",
        title="Internal error",
        detail="Something went wrong here. The request id tells the operator what.",
        headers=(NO_STORE,),
        extra={"request_id": request_id},
    )
