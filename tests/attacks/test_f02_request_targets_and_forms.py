"""F2, CVE-2026-54282 and CVE-2026-54283: request targets that name a host, and forms without end.

The bytes go over a real socket, since a client library would tidy up the targets. Whatever the
target, it reaches the route that it names or none; it never chooses a host, and what a form costs
is bounded by the 16 KiB that are read, not by what a parser would do with more.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from limen import app as standalone
from limen.limen import Limen
from limen.settings import Settings
from tests.conftest import CHEAPEST
from tests.loopback import Answer, exchange, request, serving
from tests.people import AUTH
from tests.refusals import CANARY, no_echo, problem, rows_in_file

FORM = "Content-Type: application/x-www-form-urlencoded"

TARGETS = [
    f"http://{CANARY}.example/",
    f"http://{CANARY}.example{AUTH}/nothing",
    f"https://{CANARY}@127.0.0.1/",
    f"//{CANARY}.example/docs",
    f"/{CANARY}",
    f"/{CANARY}%00",
    f"/{CANARY}%0d%0aX-Injected:%201",
    f"/{CANARY}\xff",
    f"{AUTH}/./login",
    f"{AUTH}/x/../login",
    f"{AUTH}//login",
    f"//{AUTH}/login",
    f"{AUTH}/login/..",
    f"{AUTH}/login%2f",
    f"{AUTH}/login%5c",
    f"{AUTH}/%c0%ae/login",
    f"{AUTH}/login;{CANARY}",
    f"{AUTH}/{CANARY}?{CANARY}#{CANARY}",
    f"?{CANARY}",
    CANARY,
    "*",
    "",
    "/" + "a/" * 10_000,
    "/" + "%41" * 10_000,
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("targets") / "data" / "limen.db"


@pytest.fixture(scope="module")
def port(database: Path) -> Iterator[int]:
    limen = Limen(
        Settings(data_dir=database.parent, signing_algorithm="ES256", docs=False), cost=CHEAPEST
    )
    with serving(standalone.build(limen)) as port:
        yield port


@pytest.fixture(autouse=True)
def nothing_is_written(port: int, database: Path) -> Iterator[None]:
    assert request(port, "/readyz").status == 200
    before = rows_in_file(database)
    yield
    assert rows_in_file(database) == before


def by_the_server(answer: Answer) -> bool:
    """Say whether uvicorn itself called the request malformed, before any application."""
    return (answer.status, answer.body) == (400, b"Invalid HTTP request received.")


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: ascii(target[:40]))
def test_an_odd_target_leads_nowhere(port: int, target: str, method: str) -> None:
    answer = request(port, target, method=method)

    if not by_the_server(answer):
        problem(answer.status, answer.headers, answer.body, expected={404})
    assert "location" not in answer.headers
    assert "x-injected" not in answer.headers


@pytest.mark.parametrize("spelling", ["/%61pi/v1/auth/login", "/api%2Fv1/auth/logi%6e"])
def test_another_spelling_of_a_route_is_that_route(port: int, spelling: str) -> None:
    """Percent-encoding is undone once, by the server; limits and checks are the route's own."""
    answer = request(port, spelling, "Content-Length: 0", method="POST")

    assert problem(answer.status, answer.headers, answer.body, expected={422})
    twice = request(port, spelling.replace("%", "%25"), "Content-Length: 0", method="POST")
    assert problem(twice.status, twice.headers, twice.body, expected={404})


@pytest.mark.parametrize("method", ["get", "Post", "PROPFIND", "__init__", "QUERY", "M" * 500])
@pytest.mark.parametrize("path", [f"{AUTH}/login", f"{AUTH}/me", "/healthz", "/metrics"])
def test_an_unknown_method_is_refused(port: int, path: str, method: str) -> None:
    answer = request(port, path, method=method)

    if not by_the_server(answer):
        problem(answer.status, answer.headers, answer.body, expected={405})
        assert answer.headers["allow"] in ("GET", "POST", "DELETE, GET")


def test_a_refusal_of_head_has_no_body(port: int) -> None:
    answer = request(port, f"{AUTH}/me", method="HEAD")

    assert (answer.status, answer.body) == (405, b"")


def test_trace_sends_nothing_back(port: int) -> None:
    answer = request(port, f"{AUTH}/me", f"Cookie: {CANARY}", method="TRACE")

    assert answer.status == 405
    no_echo(answer.headers, answer.body.decode())


@pytest.mark.parametrize("fields", [17, 100, 3000, 10_000])
def test_a_form_of_very_many_fields_is_refused_at_once(port: int, fields: int) -> None:
    body = "&".join(f"f{number}={CANARY}" for number in range(fields))
    began = time.perf_counter()
    sent = [
        f"POST {AUTH}/login HTTP/1.1",
        "Host: 127.0.0.1",
        "Connection: close",
        FORM,
        f"Content-Length: {len(body)}",
        "",
        body[: 16 * 1024],  # of a longer one the rest is not waited for
    ]
    answer = exchange(port, "\r\n".join(sent).encode())

    expected = 413 if len(body) > 16 * 1024 else 422
    problem(answer.status, answer.headers, answer.body, expected={expected})
    assert time.perf_counter() - began < 5  # milliseconds, but for a machine that is busy
