"""How a body is read: within 16 KiB and within a bounded time, whatever the client does."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from limen import app as standalone
from limen.api import requests
from limen.api.requests import BODY_SECONDS, MAX_BODY, explained
from limen.limen import Limen
from limen.settings import Settings
from tests.conftest import CHEAPEST
from tests.loopback import Answer, exchange, serving
from tests.people import AUTH
from tests.refusals import CANARY, problem, rows_in_file

ROUTES = [
    ("POST", f"{AUTH}/register"),
    ("POST", f"{AUTH}/login"),
    ("POST", f"{AUTH}/refresh"),
    ("POST", f"{AUTH}/logout"),
    ("GET", f"{AUTH}/me"),
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("requests") / "data" / "limen.db"


@pytest.fixture(scope="module")
def port(database: Path) -> Iterator[int]:
    limen = Limen(Settings(data_dir=database.parent, signing_algorithm="ES256"), cost=CHEAPEST)
    with serving(standalone.build(limen)) as port:
        yield port


def send(port: int, method: str, path: str, headers: list[str], body: bytes) -> Answer:
    first = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close"]
    head = "\r\n".join([*first, "Content-Type: application/json", *headers, "", ""])
    return exchange(port, head.encode() + body)


def chunked(size: int) -> bytes:
    part = (CANARY * 100).encode()
    one = b"%x\r\n%s\r\n" % (len(part), part)
    return one * (size // len(part)) + b"0\r\n\r\n"


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_chunks_without_a_length_are_counted(port: int, method: str, path: str) -> None:
    answer = send(port, method, path, ["Transfer-Encoding: chunked"], chunked(2 * MAX_BODY))

    found = problem(answer.status, answer.headers, answer.body, expected={413})
    assert found["code"] == "body_too_large"


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_what_says_that_it_is_too_large_is_not_waited_for(
    port: int, method: str, path: str
) -> None:
    began = time.perf_counter()
    answer = send(port, method, path, [f"Content-Length: {10**12}"], b"{")

    problem(answer.status, answer.headers, answer.body, expected={413})
    assert time.perf_counter() - began < BODY_SECONDS / 2


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_body_that_stalls_is_given_up(
    port: int, database: Path, method: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "BODY_SECONDS", 0.2)
    before = rows_in_file(database)
    answer = send(port, method, path, ["Content-Length: 100"], CANARY.encode())

    found = problem(answer.status, answer.headers, answer.body, expected={408})
    assert found["code"] == "body_too_slow"
    assert rows_in_file(database) == before


def test_a_body_that_trickles_is_given_up_too(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is for the whole body: a byte now and then buys no more of it."""
    monkeypatch.setattr(requests, "BODY_SECONDS", 0.3)
    head = (
        f"POST {AUTH}/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 999\r\n\r\n"
    )
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(head.encode())
        received = b""
        connection.settimeout(0.05)
        while not received and time.perf_counter() - began < 5:
            connection.sendall(b" ")
            try:
                received = connection.recv(65536)
            except TimeoutError:
                continue

    assert received.startswith(b"HTTP/1.1 408 ")
    assert time.perf_counter() - began < BODY_SECONDS / 2


def test_a_client_that_leaves_in_the_middle_harms_nobody(port: int, database: Path) -> None:
    before = rows_in_file(database)
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(
                f"POST {AUTH}/login HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{{".encode()
            )

    assert send(port, "GET", "/readyz", [], b"").status == 200
    assert rows_in_file(database) == before


def test_slow_clients_keep_nobody_waiting(port: int) -> None:
    """A hundred bodies that never come cost a hundred connections and nothing else."""
    slow = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(100)]
    try:
        for connection in slow:
            head = f"POST {AUTH}/login HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n"
            connection.sendall(head.encode())
        began = time.perf_counter()
        assert send(port, "GET", "/healthz", [], b"").status == 200
        assert time.perf_counter() - began < BODY_SECONDS / 2
    finally:
        for connection in slow:
            connection.close()


@pytest.mark.parametrize("size", [MAX_BODY - 1, MAX_BODY, MAX_BODY + 1])
def test_the_edge_is_exact(port: int, size: int) -> None:
    body = b'{"refresh_token":"x"}'.ljust(size)
    declared = send(port, "POST", f"{AUTH}/refresh", [f"Content-Length: {size}"], body)
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (size, body)
    counted = send(port, "POST", f"{AUTH}/refresh", ["Transfer-Encoding: chunked"], chunks)

    expected = 413 if size > MAX_BODY else 401
    assert (declared.status, counted.status) == (expected, expected)


MISTAKES = {
    "unknown member": {"type": "extra_forbidden", "loc": ("body", CANARY), "input": CANARY},
    "unknown member, deeper": {"type": "extra_forbidden", "loc": ("body", "a", CANARY)},
    "no object": {"type": "model_attributes_type", "loc": ("body",), "input": CANARY},
    "unheard of": {"type": CANARY, "loc": ("body", "email"), "msg": CANARY, "input": CANARY},
    "by number": {"type": "missing", "loc": ("body", 7), "input": CANARY},
    "not JSON": {"type": "json_invalid", "loc": ("body", 0), "ctx": {"error": "Not JSON."}},
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_explained_without_what_was_sent(mistake: dict[str, object]) -> None:
    error = explained([mistake])

    assert CANARY not in f"{error.detail} {error.field} {error!r}"
    assert error.detail.endswith(".")


def test_the_defaults_are_those_of_the_contract() -> None:
    assert (MAX_BODY, BODY_SECONDS) == (16 * 1024, 10)
