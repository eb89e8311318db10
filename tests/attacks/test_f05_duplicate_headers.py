"""F5, CVE-2025-14550: very many headers of one name cost no more than very many bytes.

Joining them one to the next would take quadratic time. The server bounds the head of a request;
what it lets through is refused or ignored in milliseconds, and two that contradict each other are
never silently reduced to one.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from limen import app as standalone
from limen.limen import Limen
from limen.settings import Settings
from tests.conftest import CHEAPEST
from tests.loopback import exchange, serving
from tests.people import AUTH
from tests.refusals import problem

pytestmark = pytest.mark.anyio

NAMES = [
    "Authorization",
    "Idempotency-Key",
    "Cookie",
    "Content-Type",
    "Content-Length",
    "X-Forwarded-For",
    "X-Request-ID",
    "Limen-Device",
    "Accept",
    "X-Whatever",
]
MANY = 10_000


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    data_dir: Path = tmp_path_factory.mktemp("headers") / "data"
    limen = Limen(Settings(data_dir=data_dir, signing_algorithm="ES256"), cost=CHEAPEST)
    with serving(standalone.build(limen)) as port:
        yield port


@pytest.mark.parametrize("name", NAMES)
async def test_ten_thousand_of_one_name_are_no_work(http: httpx2.AsyncClient, name: str) -> None:
    headers = [(name.encode(), b"a" * 16)] * MANY
    for method, path in [("GET", f"{AUTH}/me"), ("POST", f"{AUTH}/refresh")]:
        request = http.build_request(method, path)
        kept = [(key, value) for key, value in request.headers.raw if key.lower() == b"host"]
        request.headers = httpx2.Headers([*kept, *headers])
        began = time.perf_counter()
        answer = await http.send(request)
        took = time.perf_counter() - began
        problem(answer.status_code, answer.headers, answer.content, expected={400, 401, 413, 422})
        assert took < 2  # quadratic work would take minutes


@pytest.mark.parametrize("name", ["Authorization", "X-Whatever", "Cookie"])
def test_the_server_bounds_the_head_of_a_request(port: int, name: str) -> None:
    sent = f"GET {AUTH}/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    began = time.perf_counter()
    try:
        answer = exchange(port, (sent + f"{name}: a\r\n" * MANY + "\r\n").encode())
    except (ConnectionError, IndexError):
        pass  # it was cut off while it was still sending
    else:
        assert 400 <= answer.status < 500
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    "pair",
    [
        ("Authorization: Bearer a.b.c", "Authorization: Bearer a.b.c"),
        ("Authorization: Bearer a.b.c", "authorization: Basic YTpi"),
        ("AUTHORIZATION: Basic YTpi", "Authorization: Bearer a.b.c"),
    ],
)
def test_two_that_contradict_each_other_are_refused(port: int, pair: tuple[str, str]) -> None:
    head = ["GET /api/v1/auth/me HTTP/1.1", "Host: x", "Connection: close", *pair, "", ""]
    answer = exchange(port, "\r\n".join(head).encode())

    found = problem(answer.status, answer.headers, answer.body, expected={400})
    assert found["code"] == "invalid_request"


@pytest.mark.parametrize(
    "head",
    [
        ("Content-Length: 2", "Content-Length: 3"),
        ("Content-Length: 2", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: gzip, chunked",),
        ("Content-Length: +2",),
        ("Content-Length: 0x2",),
        ("Content-Length : 2",),
    ],
    ids=repr,
)
def test_a_body_whose_length_is_in_doubt_is_never_two_requests(
    port: int, head: tuple[str, ...]
) -> None:
    smuggled = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    lines = [f"POST {AUTH}/refresh HTTP/1.1", "Host: x", "Connection: close", *head, "", "{}"]
    answer = exchange(port, ("\r\n".join(lines) + smuggled).encode())

    assert 400 <= answer.status < 500
    assert b"200 OK" not in answer.body
