"""F3, CVE-2026-48817: a request's method is a string from outside, not the name of a Python method.

A class-based endpoint that looks its handler up by `getattr(self, method.lower())` can be made to
call anything it has. Without a token such a request never gets there; with one it is a 405.
"""

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from limen.verify.middleware import Guard
from tests.loopback import request, serving
from tests.tokens import signer, verifier

METHODS = [
    "__init__",
    "__class__",
    "__await__",
    "DISPATCH",
    "dispatch",
    "METHOD_NOT_ALLOWED",
    "SECRET",
    "secret",
    "get",
    "Get",
    "PROPFIND",
    "M" * 2000,
]
GOOD = f"Authorization: Bearer {signer('ES256').token()}"

entered: list[str] = []


class Notes(HTTPEndpoint):
    async def get(self, _: Request) -> Response:
        entered.append("get")
        return PlainTextResponse("a note")

    async def secret(self, _: Request) -> Response:
        entered.append("secret")
        return PlainTextResponse("a secret")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    app = Starlette(routes=[Route("/notes", Notes), Route("/docs", Notes)])
    app.add_middleware(Guard, verifier(), open=["GET /docs"])
    with serving(app) as port:
        yield port


@pytest.fixture(autouse=True)
def nobody_inside() -> None:
    entered.clear()


def test_the_real_method_is_served(port: int) -> None:
    assert request(port, "/notes", GOOD).status == 200


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method[:20])
def test_a_made_up_method_is_refused(port: int, method: str) -> None:
    assert request(port, "/notes", method=method).status == 401
    assert request(port, "/notes", GOOD, method=method).status == 405
    assert entered == []


@pytest.mark.parametrize("method", [*METHODS, "POST", "OPTIONS", "TRACE"], ids=lambda m: m[:20])
def test_a_path_open_to_get_is_closed_to_everything_else(port: int, method: str) -> None:
    assert request(port, "/docs").status == 200
    entered.clear()

    assert request(port, "/docs", method=method).status == 401
    assert entered == []


@pytest.mark.parametrize("method", ["", "GET\x00", "(GET)", "GÉT"])
def test_what_is_no_method_at_all_is_a_bad_request(port: int, method: str) -> None:
    assert request(port, "/notes", GOOD, method=method).status in (400, 401)
    assert entered == []
