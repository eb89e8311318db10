"""F7: the ways around a guard that stands in front of the usual door only.

Mounts, sub-applications with a root_path of their own, WebSocket handshakes, HEAD, OPTIONS, and
paths that two programs read differently. Both kinds of guard are tried over a real socket: the
`Guard` in front of everything, and `CurrentUser` on single routes. Behind each, every route takes
note of whoever gets in, and a catch-all route is there to take what no other route does.
"""

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from limen.verify.claims import Claims
from limen.verify.fastapi import CurrentUser, add_problem_handlers
from limen.verify.middleware import Guard
from tests.loopback import handshake, request, serving
from tests.tokens import signer, verifier

METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "QUERY"]
DOORS = ["/admin", "/mounted/admin", "/nested/deep/admin", "/rooted/admin", "/rooted/v1/admin"]
ODD_PATHS = [
    "//admin",
    "/admin/",
    "/admin//",
    "/%61dmin",
    "/%61%64%6d%69%6e",
    "/admi%6E",
    "/ADMIN",
    "/./admin",
    "/x/../admin",
    "/admin/.",
    "/admin;x",
    "/;x/admin",
    "/admin%00",
    "/admin%0a",
    "/admin%20",
    "/admin%2f",
    "/admin%3f",
    "/admin%23",
    "/admin%c0%af",
    "/admin%ff",
    "/admin?open",
    "/mounted//admin",
    "/mounted/./admin",
    "/mounted%2fadmin",
    "//mounted/admin",
    "/mounted/mounted/admin",
    "/rooted/rooted/admin",
    "/v1/admin",
]
TREE_ESCAPES = [
    "/public",
    "/public/../admin",
    "/public/..%2fadmin",
    "/public/%2e%2e/admin",
    "/public/%2e%2e%2fadmin",
    "/public/%252e%252e/admin",
    "/public/./../admin",
    "/public//../admin",
    "/public//admin",
    "/public/..;/admin",
    "/public;/../admin",
    "/public\\..\\admin",
    "/public/..\\admin",
    "/public/..%5cadmin",
    "/public/%00/../admin",
    "/public/..%00/admin",
    "/public/..",
    "/publicity",
    "/PUBLIC/x",
    "/x/public/x",
    "/%2fpublic/x",
]
GOOD = f"Authorization: Bearer {signer('ES256').token()}"

entered: list[str] = []


async def inside(connection: HTTPConnection) -> None:
    entered.append(connection.scope["path"])


async def catch_all(scope: Any, receive: Any, send: Any) -> None:
    entered.append(scope["path"])
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})
    else:
        await PlainTextResponse("inside")(scope, receive, send)


def doors(*dependencies: Any, root_path: str = "") -> FastAPI:
    """An application with the route /admin, for every method and as a WebSocket."""
    app = FastAPI(dependencies=dependencies, openapi_url=None)
    add_problem_handlers(app)

    @app.api_route("/admin", methods=METHODS, dependencies=[Depends(inside)])
    async def admin() -> str:
        return "inside"

    @app.websocket("/admin", dependencies=[Depends(inside)])
    async def admin_feed(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    app.root_path = root_path
    return app


def assembled(*dependencies: Any) -> FastAPI:
    """The same doors at the front, under a mount, under two, and with a root_path of their own."""
    app = doors(*dependencies)
    app.mount("/mounted", doors(*dependencies))
    app.mount("/nested", Starlette(routes=[Mount("/deep", doors(*dependencies))]))
    app.mount("/rooted/v1", doors(*dependencies))
    app.mount("/rooted", doors(*dependencies, root_path="/rooted"))
    return app


@pytest.fixture(scope="module")
def guarded() -> Iterator[int]:
    """The port of an application that is guarded as a whole, with nothing guarded inside."""
    app = assembled()
    app.mount("/", catch_all)
    app.add_middleware(Guard, verifier(), open=["/public/*", "GET /healthz"])
    with serving(app) as port:
        yield port


@pytest.fixture(scope="module")
def routes() -> Iterator[int]:
    """The port of an application in which each route is guarded by the dependency."""
    current_user = CurrentUser(verifier())

    async def user(claims: Annotated[Claims, Depends(current_user)]) -> Claims:
        return claims

    with serving(assembled(Depends(user))) as port:
        yield port


@pytest.fixture(autouse=True)
def nobody_inside() -> None:
    entered.clear()


@pytest.mark.parametrize("door", DOORS)
def test_with_a_token_every_door_opens(guarded: int, routes: int, door: str) -> None:
    for port in (guarded, routes):
        assert request(port, door, GOOD).status == 200
        assert handshake(port, door, GOOD).status == 101
    assert len(entered) == 4


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("method", METHODS)
def test_without_a_token_no_method_opens_a_door(
    guarded: int, routes: int, method: str, door: str
) -> None:
    for port in (guarded, routes):
        answer = request(port, door, method=method)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert (answer.body == b"") is (method == "HEAD")
    assert entered == []


@pytest.mark.parametrize("door", DOORS)
def test_without_a_token_no_handshake_is_accepted(guarded: int, routes: int, door: str) -> None:
    for port in (guarded, routes):
        with pytest.raises(InvalidStatus) as refusal, connect(f"ws://127.0.0.1:{port}{door}"):
            pass
        assert refusal.value.response.status_code == 401
        assert b'"missing_token"' in (refusal.value.response.body or b"")
    assert entered == []


@pytest.mark.parametrize("path", ODD_PATHS)
def test_no_spelling_of_a_path_opens_a_door(guarded: int, routes: int, path: str) -> None:
    for method in ("GET", "HEAD", "OPTIONS"):
        assert request(guarded, path, method=method).status == 401
        assert request(routes, path, method=method).status in (307, 401, 404)
    assert handshake(guarded, path).status == 401
    assert handshake(routes, path).status in (401, 403)
    assert entered == []


@pytest.mark.parametrize("path", TREE_ESCAPES)
def test_nobody_climbs_out_of_an_open_tree(guarded: int, path: str) -> None:
    assert request(guarded, path).status == 401
    assert handshake(guarded, path).status == 401
    assert entered == []


@pytest.mark.parametrize("path", ["/public/x", "/public/%61/b.css", "/healthz"])
def test_what_is_open_stays_open(guarded: int, path: str) -> None:
    assert request(guarded, path).status == 200
    assert len(entered) == 1


def test_a_path_open_to_get_opens_no_websocket(guarded: int) -> None:
    assert handshake(guarded, "/healthz").status == 401
    assert entered == []


@pytest.mark.parametrize("path", [*ODD_PATHS, *TREE_ESCAPES])
def test_with_a_token_an_odd_path_is_never_a_server_error(
    guarded: int, routes: int, path: str
) -> None:
    assert request(guarded, path, GOOD).status < 500
    assert request(routes, path, GOOD).status < 500


@pytest.mark.parametrize(
    "header",
    [
        "Sec-WebSocket-Protocol: bearer, {token}",
        "Cookie: access_token={token}",
        "Proxy-Authorization: Bearer {token}",
        "X-Access-Token: {token}",
    ],
)
def test_a_token_in_another_place_is_no_token(guarded: int, routes: int, header: str) -> None:
    sent = header.format(token=signer("ES256").token())
    for port in (guarded, routes):
        assert request(port, "/admin", sent).status == 401
        assert handshake(port, "/admin", sent).status == 401
        assert request(port, f"/admin?access_token={signer('ES256').token()}").status == 401
    assert entered == []


def test_a_preflight_is_not_answered_by_the_route(guarded: int, routes: int) -> None:
    preflight = ("Origin: https://evil.example.com", "Access-Control-Request-Method: DELETE")
    for port in (guarded, routes):
        answer = request(port, "/admin", *preflight, method="OPTIONS")
        assert answer.status == 401
        assert "access-control-allow-origin" not in answer.headers
    assert entered == []
