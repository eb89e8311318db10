"""F1, CVE-2026-48710: the Host header must not choose which path a guard looks at.

A guard that asks `request.url.path` reads a URL put together from the Host header. With
`Host: x/public?` that URL is `http://x/public?/admin`, whose path is open, while the router still
matches `/admin`. The same is tried here with everything else that a proxy or a framework might
take a path from. Over a real socket, since client libraries refuse to send such things.
"""

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from limen.verify.middleware import Guard
from tests.loopback import handshake, request, serving
from tests.tokens import verifier

HOSTS = [
    "x/public?",
    "x/public#",
    "x/public/",
    "x/public/..;",
    "a#b",
    "a?b",
    "public@x",
    "x\\public",
    "x:80/public?",
    "[::1]/public?",
    "[::1",
    "/public?",
    "?",
    "",
]
HEADERS = [
    "X-Original-URL: /public",
    "X-Rewrite-URL: /public",
    "X-Forwarded-Host: x/public?",
    "X-Forwarded-Prefix: /public",
    "X-Forwarded-Path: /public",
    "X-Script-Name: /public",
    'Forwarded: host="x/public?"',
    "X-HTTP-Method-Override: OPTIONS",
    "Referer: http://127.0.0.1/public",
]

entered: list[str] = []


async def inside(request: Request) -> Response:
    entered.append(request.scope["path"])
    return PlainTextResponse("inside")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    app = Starlette(routes=[Route("/{path:path}", inside)])
    app.add_middleware(Guard, verifier(), open=["/public"])
    with serving(app) as port:
        yield port


@pytest.fixture(autouse=True)
def nobody_inside() -> None:
    entered.clear()


def test_the_open_path_is_open(port: int) -> None:
    assert request(port, "/public").status == 200


@pytest.mark.parametrize("host", HOSTS, ids=repr)
def test_a_poisoned_host_opens_nothing(port: int, host: str) -> None:
    assert request(port, "/admin", host=host).status == 401
    assert handshake(port, "/admin", host=host).status in (400, 401)
    assert entered == []


@pytest.mark.parametrize("header", HEADERS)
def test_no_other_header_names_the_path(port: int, header: str) -> None:
    assert request(port, "/admin", header).status == 401
    assert entered == []


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1/admin",
        "http://x/public",
        "http://x/public?/admin",
        "http://x/public#/admin",
        "//x/public",
        "/admin?/public",
        "/admin?path=/public",
        "/admin#/public",
        "x/public",
        "?/public",
        "*",
    ],
)
def test_no_form_of_the_request_target_opens_a_path(port: int, target: str) -> None:
    assert request(port, target).status in (400, 401)
    assert entered == []
