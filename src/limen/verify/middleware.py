"""Guarding a whole application: every path needs a good access token unless it is declared open.

    app.add_middleware(Guard, verifier=verifier, open=["/healthz", "GET /docs", "/static/*"])

What an entry opens, `limen.verify.open_routes` says; one without a method opens a WebSocket too.
The order of middlewares, mounts, and routes that match no handler make no difference: the guard
stands in front of the router and asks only for the path that the router will match, which is
`scope["path"]` less `scope["root_path"]`. It never asks a URL, since a URL is put together from
the Host header, which the client chooses (CVE-2026-48710).

A refusal is answered here, as `limen.verify.problems` says. A WebSocket is refused before its
handshake is accepted. A WebSocket that was let through is not looked at again: it may outlive its
token, so an application that keeps one open for hours should close it at `claims.expires_at`.

CORS preflights carry no token: add Starlette's CORSMiddleware after the guard, so that it stands
in front of it.
"""

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, NamedTuple

from limen.verify.bearer import bearer_token
from limen.verify.claims import Claims
from limen.verify.errors import GuardError
from limen.verify.open_routes import OpenRoutes
from limen.verify.problems import MEDIA_TYPE, Problem, problem_of
from limen.verify.verifier import Verifier

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

ANSWERS = 64  # that are kept as they are sent
POLICY_VIOLATION = 1008  # RFC 6455, section 7.4.1


class Guard:
    """An ASGI application in front of another that lets only good access tokens through.

    The claims of an admitted request stand in `scope["limen.claims"]`. On an open path a
    presented token is not looked at, so that an old one cannot spoil a health check.
    """

    def __init__(
        self,
        app: ASGIApp,
        verifier: Verifier,
        *,
        open: Collection[str] = (),  # noqa: A002 - the word is read where it is written: at the call
    ) -> None:
        """Guard `app`, but for the `open` entries.

        Raises:
            ValueError: An entry is of none of the three forms, or would open everything.
            TypeError: `open` is one string, not a collection of them.
        """
        self._app = app
        self._verifier = verifier
        self._open = OpenRoutes(open)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the connection through or answer it with a problem."""
        if scope["type"] == "lifespan" or self._is_open(scope):
            await self._app(scope, receive, send)
            return
        try:
            await admit(scope, self._verifier)
        except GuardError as error:
            await _refuse(scope, send, error)
        else:
            await self._app(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        if scope["type"] not in ("http", "websocket"):
            raise RuntimeError(f"limen cannot guard an ASGI scope of type {scope['type']!r}")
        method = scope["method"] if scope["type"] == "http" else None
        return self._open.cover(method, route_path(scope))


async def admit(scope: Scope, verifier: Verifier) -> Claims:
    """Return the claims of the connection's access token, verified once per connection.

    The claims are kept in the scope together with the verifier that vouches for them: a mounted
    application with a verifier of its own (another issuer or audience) does not take them over.

    Raises:
        GuardError: There is no good token: MissingToken, InvalidAuthorization, InvalidToken, or
            RevocationsStale.
    """
    if scope.get("limen.verifier") is not verifier:
        claims = await verifier.verify(bearer_token(scope["headers"]))
        scope["limen.claims"], scope["limen.verifier"] = claims, verifier
    admitted: Claims = scope["limen.claims"]
    return admitted


def route_path(scope: Scope) -> str:
    """Return the path that the router matches: the path less root_path, as Starlette sees it."""
    path: str = scope["path"]
    root_path: str = scope.get("root_path", "")
    below = path.removeprefix(root_path)
    return below if below == "" or below.startswith("/") else path


def can_respond(scope: Scope) -> bool:
    """Return whether a response can be sent: always for HTTP, for a handshake if offered."""
    return scope["type"] == "http" or "websocket.http.response" in (scope.get("extensions") or {})


async def _refuse(scope: Scope, send: Send, error: GuardError) -> None:
    if not can_respond(scope):
        reason = error.code
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": reason})
        return
    prefix = "websocket.http" if scope["type"] == "websocket" else "http"
    status, headers, body = _written(error)
    shown = b"" if scope.get("method") == "HEAD" else body
    await send({"type": f"{prefix}.response.start", "status": status, "headers": [*headers]})
    await send({"type": f"{prefix}.response.body", "body": shown})


class _Answer(NamedTuple):
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


_answers: dict[tuple[type[GuardError], str], _Answer] = {}


def _written(error: GuardError) -> _Answer:
    """Return how the refusal is sent. There are a dozen, each of which may come in floods."""
    kind = type(error), error.detail
    if kind not in _answers:
        if len(_answers) >= ANSWERS:
            _answers.clear()
        _answers[kind] = _write(problem_of(error))
    return _answers[kind]


def _write(problem: Problem) -> _Answer:
    body = problem.body()
    fields = (("Content-Type", MEDIA_TYPE), ("Content-Length", str(len(body))), *problem.headers)
    headers = tuple((name.lower().encode("ascii"), value.encode("ascii")) for name, value in fields)
    return _Answer(problem.status, headers, body)
