"""What guards a single FastAPI route: the dependency, its scopes, its OpenAPI, its refusals."""

from collections.abc import MutableMapping
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import (
    APIRouter,
    Depends,
    FastAPI,
    HTTPException,
    Security,
    WebSocket,
    WebSocketException,
)

from limen.verify.claims import Claims
from limen.verify.errors import InsufficientScope, InvalidToken, MissingToken
from limen.verify.fastapi import CurrentUser, Refused, RefusedSocket, add_problem_handlers
from limen.verify.middleware import Guard
from limen.verify.verifier import Verifier
from tests.tokens import payload_of, signer, verifier

pytestmark = pytest.mark.anyio

DENIAL: dict[str, Any] = {"websocket.http.response": {}}


def bearer(scope: str = "", **claims: object) -> dict[str, str]:
    payload = payload_of(scope=scope, **claims)
    return {"Authorization": f"Bearer {signer('ES256').token(payload=payload)}"}


def application(*, problems: bool = True, checker: Verifier | None = None) -> FastAPI:
    app = FastAPI()
    current_user = CurrentUser(checker or verifier(), scopes={"admin": "Everything"})
    if problems:
        add_problem_handlers(app)
    staff = APIRouter(dependencies=[Security(current_user, scopes=["staff"])])

    @app.get("/me")
    async def me(user: Annotated[Claims, Depends(current_user)]) -> str:
        return user.user_id

    @app.get("/admin")
    async def admin(user: Annotated[Claims, Security(current_user, scopes=["admin"])]) -> str:
        return user.user_id

    @app.get("/both")
    async def both(
        user: Annotated[Claims, Security(current_user, scopes=["read", "write"])],
    ) -> str:
        return user.user_id

    add_by_role(app, current_user)

    @staff.get("/audit")
    async def audit(user: Annotated[Claims, Security(current_user, scopes=["audit"])]) -> str:
        return user.user_id

    @app.get("/escape")
    async def escape() -> None:
        raise InvalidToken("ended")

    @app.websocket("/feed")
    async def feed(
        websocket: WebSocket, user: Annotated[Claims, Security(current_user, scopes=["feed"])]
    ) -> None:
        await websocket.accept()
        await websocket.send_text(user.user_id)
        await websocket.close()

    @app.websocket("/late")
    async def late(websocket: WebSocket) -> None:
        await websocket.accept()
        raise InvalidToken("expired")

    app.include_router(staff)
    return app


def add_by_role(app: FastAPI, current_user: CurrentUser) -> None:
    @app.get("/editors")
    async def editors(
        user: Annotated[Claims, Depends(current_user.roles("editor", "reviewer"))],
    ) -> str:
        return user.user_id

    @app.get("/chief")
    async def chief(
        user: Annotated[Claims, Security(current_user.roles("editor"), scopes=["admin"])],
    ) -> str:
        return user.user_id


async def get(app: Any, path: str, headers: dict[str, str] | None = None) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(path, headers=headers)


async def connect(
    app: Any, path: str, headers: dict[str, str], **scope: Any
) -> list[MutableMapping[str, Any]]:
    """Open a WebSocket by hand and return what the application sends back."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    start = {"type": "websocket", "path": path, "query_string": b"", "headers": raw, **scope}
    await app(start, receive, send)
    return sent


async def test_the_endpoint_is_given_the_claims() -> None:
    reply = await get(application(), "/me", bearer())

    assert (reply.status_code, reply.json()) == (200, "u-1")


@pytest.mark.parametrize(
    ("headers", "status", "code", "challenge"),
    [
        ({}, 401, "missing_token", "Bearer"),
        ({"Authorization": "Basic YTpi"}, 401, "missing_token", "Bearer"),
        ({"Authorization": "Bearer x"}, 401, "invalid_token", 'Bearer error="invalid_token"'),
        ({"Authorization": "Bearer"}, 400, "invalid_request", 'Bearer error="invalid_request"'),
    ],
    ids=["none", "another scheme", "garbage", "malformed"],
)
async def test_a_refusal_has_the_same_status_and_headers_with_and_without_the_handlers(
    headers: dict[str, str], status: int, code: str, challenge: str
) -> None:
    plain = await get(application(problems=False), "/me", headers)
    problem = await get(application(), "/me", headers)

    for reply in (plain, problem):
        assert reply.status_code == status
        assert reply.headers["www-authenticate"].partition(",")[0] == challenge
        assert reply.headers["cache-control"] == "no-store"
    assert plain.json() == {"detail": problem.json()["detail"]}
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["code"] == code


@pytest.mark.parametrize(
    ("path", "scope", "status"),
    [
        ("/me", "", 200),
        ("/admin", "", 403),
        ("/admin", "admin", 200),
        ("/admin", "other admin", 200),
        ("/admin", "administrator", 403),
        ("/admin", "ADMIN", 403),
        ("/both", "write", 403),
        ("/both", "write read", 200),
        ("/audit", "audit", 403),
        ("/audit", "staff", 403),
        ("/audit", "audit staff", 200),
    ],
)
async def test_every_required_scope_must_be_in_the_token(
    path: str, scope: str, status: int
) -> None:
    assert (await get(application(), path, bearer(scope))).status_code == status


@pytest.mark.parametrize(
    ("path", "scope", "roles", "status"),
    [
        ("/editors", "", [], 403),
        ("/editors", "editor reviewer", [], 403),
        ("/editors", "", ["editor"], 403),
        ("/editors", "", ["Editor", "reviewer"], 403),
        ("/editors", "", ["reader", "reviewer", "editor"], 200),
        ("/chief", "", ["editor"], 403),
        ("/chief", "admin", [], 403),
        ("/chief", "admin", ["editor"], 200),
    ],
)
async def test_every_required_role_must_be_in_the_token(
    path: str, scope: str, roles: list[str], status: int
) -> None:
    app = application()

    assert (await get(app, path, bearer(scope, roles=roles))).status_code == status
    assert (await get(app, path)).status_code == 401


async def test_the_answer_names_the_role_that_is_needed() -> None:
    reply = await get(application(), "/editors", bearer())

    assert reply.json()["code"] == "insufficient_role"
    assert "editor reviewer" in reply.json()["detail"]
    assert reply.headers["www-authenticate"] == "Bearer"
    assert application().openapi()["paths"]["/chief"]["get"]["security"] == [{"limen": ["admin"]}]


async def test_the_answer_names_the_scope_that_is_needed() -> None:
    reply = await get(application(), "/admin", bearer())

    assert reply.json()["code"] == "insufficient_scope"
    assert reply.headers["www-authenticate"].endswith('scope="admin"')


async def test_the_reason_travels_with_the_exception() -> None:
    for error in (MissingToken(), InvalidToken("ended"), InsufficientScope(("admin",))):
        assert Refused(error).error is error
        assert RefusedSocket(error).error is error
    assert issubclass(Refused, HTTPException)
    assert issubclass(RefusedSocket, WebSocketException)


async def test_a_guard_error_that_escapes_is_answered_as_a_problem() -> None:
    reply = await get(application(), "/escape")

    assert (reply.status_code, reply.json()["code"]) == (401, "invalid_token")


async def test_behind_a_guard_the_token_is_not_verified_again() -> None:
    class Counting(Verifier):
        calls = 0

        async def verify(self, token: str) -> Claims:
            Counting.calls += 1
            return checker.check(token)

    checker = verifier()
    counting = Counting("i", "a", keys=_NoKeys(), revocations=checker.revocations)
    app = Guard(application(checker=counting), counting)

    assert (await get(app, "/audit", bearer("audit staff"))).status_code == 200
    assert Counting.calls == 1


class _NoKeys:
    def find(self, kid: str) -> None:
        raise AssertionError(kid)

    async def renew(self, kid: str, _issued_at: int, /) -> bool:
        raise AssertionError(kid)

    def renew_blocking(self, kid: str, _issued_at: int, /) -> bool:
        raise AssertionError(kid)


async def test_behind_a_guard_scopes_are_still_required() -> None:
    checker = verifier()
    app = Guard(application(checker=checker), checker)

    assert (await get(app, "/admin", bearer("other"))).status_code == 403


async def test_openapi_shows_the_login_and_the_scopes() -> None:
    document = application().openapi()

    assert document["components"]["securitySchemes"]["limen"] == {
        "type": "oauth2",
        "flows": {"password": {"tokenUrl": "api/v1/auth/login", "scopes": {"admin": "Everything"}}},
    }
    assert document["paths"]["/me"]["get"]["security"] == [{"limen": []}]
    assert document["paths"]["/admin"]["get"]["security"] == [{"limen": ["admin"]}]
    assert document["paths"]["/audit"]["get"]["security"] == [{"limen": ["staff", "audit"]}]
    assert "security" not in document["paths"]["/escape"]["get"]


async def test_a_websocket_with_a_good_token_is_accepted() -> None:
    sent = await connect(application(), "/feed", bearer("feed"))

    assert [message["type"] for message in sent] == [
        "websocket.accept",
        "websocket.send",
        "websocket.close",
    ]
    assert sent[1]["text"] == "u-1"


@pytest.mark.parametrize("problems", [True, False], ids=["with handlers", "without handlers"])
@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [({}, 401, "missing_token"), (bearer("other"), 403, "insufficient_scope")],
    ids=["no token", "no scope"],
)
async def test_a_refused_websocket_is_never_accepted(
    headers: dict[str, str], status: int, code: str, *, problems: bool
) -> None:
    app = application(problems=problems)
    start, body = await connect(app, "/feed", headers, extensions=DENIAL)

    assert (start["type"], start["status"]) == ("websocket.http.response.start", status)
    assert b"www-authenticate" in dict(start["headers"])
    assert body["type"] == "websocket.http.response.body"
    assert await connect(app, "/feed", headers) == [
        {"type": "websocket.close", "code": 1008, "reason": code}
    ]


async def test_a_guard_error_after_the_handshake_closes_the_websocket() -> None:
    sent = await connect(application(), "/late", {}, extensions=DENIAL)

    assert sent[1:] == [{"type": "websocket.close", "code": 1008, "reason": "invalid_token"}]
