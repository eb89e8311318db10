"""Every path is closed unless it is declared open."""

import random
import secrets
from collections.abc import Collection, MutableMapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

import httpx2
import pytest
from starlette._utils import get_route_path
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from limen.verify.claims import Claims
from limen.verify.keyset import KeySet
from limen.verify.middleware import Guard, admit, route_path
from limen.verify.revocations import Revocation, Revocations, subject_digest
from limen.verify.verifier import Verifier
from tests.tokens import AUDIENCE, ISSUER, payload_of, signer, verifier

pytestmark = pytest.mark.anyio

OPEN = ["/healthz", "GET /docs", "/static/*"]
GOOD = {"Authorization": f"Bearer {signer('ES256').token()}"}


async def whoami(request: Request) -> Response:
    claims = request.scope.get("limen.claims")
    return JSONResponse(claims.user_id if isinstance(claims, Claims) else None)


async def greet(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


def guarded(open: Collection[str] = OPEN, checker: Verifier | None = None) -> Guard:  # noqa: A002
    anything = Route("/{path:path}", whoami, methods=["GET", "POST", "DELETE", "OPTIONS"])
    app = Starlette(routes=[anything, WebSocketRoute("/{path:path}", greet)])
    return Guard(app, checker or verifier(), open=open)


async def call(
    app: Any, path: str, method: str = "GET", root_path: str = "", **headers: str
) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=app, root_path=root_path)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, path, headers=headers)


async def connect(app: Guard, path: str = "/feed", **scope: Any) -> list[MutableMapping[str, Any]]:
    """Open a WebSocket by hand and return what the application sends back."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    headers = [(name.lower().encode(), value.encode()) for name, value in GOOD.items()]
    await app({"type": "websocket", "path": path, "headers": headers, **scope}, receive, send)
    return sent


async def test_a_good_token_passes_and_its_claims_are_in_the_scope() -> None:
    reply = await call(guarded(), "/notes", **GOOD)

    assert (reply.status_code, reply.json()) == (200, "u-1")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "missing_token"),
        ({"Authorization": "Basic YTpi"}, 401, "missing_token"),
        ({"Authorization": "Bearer garbage"}, 401, "invalid_token"),
        ({"Authorization": "Bearer"}, 400, "invalid_request"),
        ({"Authorization": f"Bearer {signer('ES256').token()}, Bearer x"}, 400, "invalid_request"),
    ],
    ids=["none", "another scheme", "garbage", "malformed", "two in one"],
)
async def test_without_a_good_token_the_answer_is_a_problem(
    headers: dict[str, str], status: int, code: str
) -> None:
    reply = await call(guarded(), "/notes", **headers)

    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["content-length"] == str(len(reply.content))
    assert reply.headers["www-authenticate"].startswith("Bearer")


async def test_two_authorization_headers_are_refused() -> None:
    transport = httpx2.ASGITransport(app=guarded())
    headers = [*GOOD.items(), *GOOD.items()]
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        reply = await client.get("/notes", headers=headers)

    assert (reply.status_code, reply.json()["code"]) == (400, "invalid_request")


async def test_an_expired_token_is_refused() -> None:
    reply = await call(guarded(checker=verifier(now=1_900_000_000)), "/notes", **GOOD)

    assert (reply.status_code, reply.json()["code"]) == (401, "invalid_token")
    assert "expired" in reply.headers["www-authenticate"]


async def test_the_token_of_an_ended_session_is_refused() -> None:
    checker = verifier()
    checker.revocations.apply([Revocation(1, "session", subject_digest("s-1"), 0, 2_000_000_000)])

    assert (await call(guarded(checker=checker), "/notes", **GOOD)).status_code == 401


async def test_a_verifier_that_is_behind_answers_503_and_not_401() -> None:
    behind = Verifier(
        ISSUER,
        AUDIENCE,
        keys=KeySet([signer("ES256").key]),
        revocations=Revocations(),
        now=lambda: 1_800_000_000,
    )
    reply = await call(guarded(checker=behind), "/notes", **GOOD)

    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
    assert "www-authenticate" not in reply.headers


async def test_a_refused_head_has_no_body() -> None:
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "HEAD", "path": "/notes", "headers": []}
    await guarded()(scope, _never, send)

    assert [message.get("status", message.get("body")) for message in sent] == [401, b""]


async def _never() -> MutableMapping[str, Any]:
    raise AssertionError("nothing of a refused request is read")


@pytest.mark.parametrize(
    ("method", "path", "is_open"),
    [
        ("GET", "/healthz", True),
        ("DELETE", "/healthz", True),
        ("GET", "/healthz?x=1", True),
        ("GET", "/healthz/", False),
        ("GET", "/healthz/x", False),
        ("GET", "/HEALTHZ", False),
        ("GET", "//healthz", False),
        ("GET", "/healthz%0a", False),
        ("GET", "/healthz%00", False),
        ("GET", "/healthz;x", False),
        ("GET", "/docs", True),
        ("HEAD", "/docs", True),
        ("POST", "/docs", False),
        ("OPTIONS", "/docs", False),
        ("get", "/docs", False),
        ("GET", "/static/app.js", True),
        ("GET", "/static/css/", True),
        ("GET", "/static/..app..js", True),
        ("POST", "/static/app.js", True),
        ("GET", "/static/", True),
        ("GET", "/static", False),
        ("GET", "/staticfiles", False),
        ("GET", "/static//app.js", False),
        ("GET", "/static/%2e%2e/notes", False),
        ("GET", "/static/%2e%2e", False),
        ("GET", "/static/%2e/app.js", False),
        ("GET", "/static/..%2f..%2fnotes", False),
        ("GET", "/static/%252e%252e/notes", False),
        ("GET", "/static/..;/notes", False),
        ("GET", "/static/..%5cnotes", False),
        ("GET", "/static/a%00.js", False),
        ("GET", "/static/a%0a", False),
        ("GET", "/", False),
    ],
)
async def test_only_what_is_declared_is_open(method: str, path: str, *, is_open: bool) -> None:
    sent: list[MutableMapping[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("inside")(scope, receive, send)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": as_served(path), "headers": []}
    await Guard(app, verifier(), open=OPEN)(scope, _never, send)

    assert sent[0]["status"] == (200 if is_open else 401)


def as_served(target: str) -> str:
    return unquote(target.partition("?")[0])


async def test_on_an_open_path_a_token_is_not_looked_at() -> None:
    for token in ("Bearer garbage", GOOD["Authorization"]):
        reply = await call(guarded(), "/healthz", Authorization=token)
        assert (reply.status_code, reply.json()) == (200, None)


async def test_nothing_is_open_by_default() -> None:
    app = Starlette(routes=[Route("/", whoami)])

    assert (await call(Guard(app, verifier()), "/")).status_code == 401
    assert (await call(Guard(app, verifier()), "/no/such/route")).status_code == 401


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "healthz",
        "*",
        "/*",
        "//*",
        "GET",
        "get /healthz",
        "GET  /healthz",
        "GET healthz",
        "/a/*/b",
        "/a*",
        "/items/{id}",
        "/healthz?x",
        "/healthz#x",
        "//healthz",
        "/../healthz",
        "/%68ealthz",
        "/healthz\n",
        "https://api.example.com/healthz",
    ],
)
def test_an_entry_that_could_mean_something_else_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="open: "):
        Guard(_app, verifier(), open=[entry])


async def _app(*_: Any) -> None:
    raise AssertionError("never called")


def test_one_string_is_not_a_list_of_entries() -> None:
    with pytest.raises(TypeError, match="open: "):
        Guard(_app, verifier(), open="/healthz")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/healthz", 200),
        ("/healthz", 200),
        ("/api/notes", 401),
        ("/apihealthz", 401),
        ("/api", 401),
    ],
)
async def test_the_path_is_the_one_below_root_path(path: str, status: int) -> None:
    assert (await call(guarded(), path, root_path="/api")).status_code == status


def test_the_guard_and_the_router_see_the_same_path() -> None:
    seed = secrets.randbits(32)
    print("seed", seed)
    rng = random.Random(seed)

    for _ in range(5000):
        path, root_path = ("".join(rng.choices("/ab", k=rng.randrange(6))) for _ in range(2))
        scope = {"path": path, "root_path": root_path}
        assert route_path(scope) == get_route_path(scope), scope


async def test_a_mounted_application_guards_itself() -> None:
    inner = Guard(Starlette(routes=[Route("/{path:path}", whoami)]), verifier(), open=["/about"])
    app = Starlette(routes=[Mount("/sub", inner), Route("/about", whoami)])

    assert (await call(app, "/sub/about")).status_code == 200
    assert (await call(app, "/sub/sub/about")).status_code == 401


async def test_claims_of_another_verifier_are_not_taken_over() -> None:
    strict = Verifier(
        ISSUER,
        "https://bank.example.com",
        keys=KeySet([signer("ES256").key]),
        revocations=verifier().revocations,
    )
    inner = Guard(Starlette(routes=[Route("/{path:path}", whoami)]), strict)
    outer = Guard(Starlette(routes=[Mount("/bank", inner)]), verifier())

    reply = await call(outer, "/bank/money", **GOOD)

    assert (reply.status_code, reply.json()["code"]) == (401, "invalid_token")


async def test_a_token_is_verified_once_per_request() -> None:
    checker = verifier()
    scope = {"headers": [(b"authorization", GOOD["Authorization"].encode())]}
    claims = await admit(scope, checker)

    assert await admit(scope, checker) is claims


async def test_a_websocket_with_a_good_token_passes() -> None:
    assert [message["type"] for message in await connect(guarded())] == [
        "websocket.accept",
        "websocket.close",
    ]


async def test_a_refused_websocket_gets_a_response_where_the_server_can_send_one() -> None:
    extensions: dict[str, Any] = {"websocket.http.response": {}}
    start, body = await connect(guarded(), headers=[], extensions=extensions)

    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
    assert dict(start["headers"])[b"www-authenticate"] == b"Bearer"
    assert body["type"] == "websocket.http.response.body"
    assert b'"missing_token"' in body["body"]


@pytest.mark.parametrize("extensions", [{}, None, {"tls": {}}], ids=repr)
async def test_a_refused_websocket_is_closed_before_it_is_accepted(extensions: Any) -> None:
    assert await connect(guarded(), headers=[], extensions=extensions) == [
        {"type": "websocket.close", "code": 1008, "reason": "missing_token"}
    ]


@pytest.mark.parametrize(
    ("path", "opened"), [("/healthz", True), ("/docs", False), ("/static/x", True)]
)
async def test_an_entry_with_a_method_does_not_open_a_websocket(path: str, *, opened: bool) -> None:
    first, *_ = await connect(guarded(), path, headers=[])

    assert (first["type"] == "websocket.accept") is opened


async def test_lifespan_passes() -> None:
    started = []

    @asynccontextmanager
    async def lifespan(_: Starlette) -> Any:
        started.append(True)
        yield

    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> MutableMapping[str, Any]:
        return next(messages)

    async def send(message: MutableMapping[str, Any]) -> None:
        started.append(message["type"] == "lifespan.startup.complete")

    await Guard(Starlette(lifespan=lifespan), verifier())({"type": "lifespan"}, receive, send)

    assert started[:2] == [True, True]


async def test_a_kind_of_connection_that_is_not_known_does_not_pass() -> None:
    async def send(message: MutableMapping[str, Any]) -> None:
        raise AssertionError(message)

    with pytest.raises(RuntimeError, match="webtransport"):
        await Guard(_app, verifier())({"type": "webtransport", "path": "/healthz"}, _never, send)


async def test_the_guard_can_be_added_as_a_middleware() -> None:
    app = Starlette(routes=[Route("/{path:path}", whoami)])
    app.add_middleware(Guard, verifier(), open=["/healthz"])

    statuses = [(await call(app, path)).status_code for path in ("/healthz", "/notes")]
    assert statuses == [200, 401]


async def test_a_token_for_somebody_else_names_somebody_else() -> None:
    token = signer("RS256").token(payload=payload_of(sub="u-2", user_id="u-2"))

    assert (await call(guarded(), "/notes", Authorization=f"Bearer {token}")).json() == "u-2"
