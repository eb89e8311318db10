"""One address is asked, and no answer takes longer or grows larger than it may."""

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from limen.verify.fetching import Unreachable, fetch, require_safe
from tests.verify.elsewhere import JWKS, Answer, Elsewhere, answering, elsewhere

SECONDS = 0.4


@pytest.fixture
def issuer() -> Iterator[Elsewhere]:
    with elsewhere() as issuer:
        yield issuer


def get(issuer: Elsewhere) -> bytes:
    return fetch(issuer.url + JWKS, seconds=SECONDS, max_bytes=1000).body


@pytest.mark.parametrize(
    "url",
    [
        "https://login.example.com",
        "https://login.example.com:8443/auth",
        "http://localhost:8000",
        "http://127.0.0.1",
        "http://127.8.8.8:80",
        "http://[::1]:8000",
    ],
)
def test_https_and_this_machine_are_safe(url: str) -> None:
    assert require_safe(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example.com",
        "http://localhost.example.com",
        "http://10.0.0.1",
        "http://0.0.0.0",
        "http://127.0.0.1.example.com",
        "http://127.0.0.1@example.com",
        "https://user:secret@login.example.com",
        "https://login.example.com?x",
        "https://login.example.com#x",
        "https://",
        "https://login.example.com:port",
        "https://[::1",
        "file:///etc/passwd",
        "ftp://localhost",
        "login.example.com",
        "",
    ],
)
def test_nothing_else_is(url: str) -> None:
    with pytest.raises(ValueError, match="The issuer") as refused:
        require_safe(url)
    assert "secret" not in str(refused.value)


def drip(head: bytes) -> Answer:
    """Send this, and then one byte after another for much longer than anybody may wait."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(head)
        for _ in range(100):
            handler.wfile.write(b"x")
            time.sleep(0.05)

    return answer


def cut_off(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"keys"')


def cut_off_in_chunks(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{}")


def for_ever_to_continue(handler: BaseHTTPRequestHandler) -> None:
    while True:
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.01)


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.close()


def silence(_: BaseHTTPRequestHandler) -> None:
    time.sleep(2)


OK = b"HTTP/1.1 200 OK\r\n"


def headers_without_end(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(OK + b"A: b\r\n" * 1000)


USELESS: dict[str, Answer] = {
    "a redirect": answering({}, 302, {"Location": "https://evil.example/"}),
    "a permanent redirect": answering({}, 308, {"Location": "/elsewhere"}),
    "not found": answering({}, 404),
    "an error": answering({}, 500),
    "no content": answering(b"", 204),
    "a part": answering({}, 206),
    "too large": answering(b" " * 1001),
    "too large, it says": answering(b"", 200, {"Content-Length": "10000000000"}),
    "chunks without end": drip(OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffffff\r\n"),
    "a body byte by byte": drip(OK + b"Content-Length: 900\r\n\r\n"),
    "a body without a length": drip(OK + b"\r\n"),
    "a header byte by byte": drip(OK + b"X: "),
    "a status byte by byte": drip(b"HTTP/1.1 200 "),
    "continue, for ever": for_ever_to_continue,
    "cut off": cut_off,
    "cut off in chunks": cut_off_in_chunks,
    "hung up": hang_up,
    "silence": silence,
    "no HTTP": drip(b"SSH-2.0\r\n"),
    "headers without end": headers_without_end,
}


@pytest.mark.parametrize("answer", USELESS.values(), ids=USELESS.keys())
def test_a_useless_answer_is_given_up_in_time(issuer: Elsewhere, answer: Answer) -> None:
    issuer.answers[JWKS] = answer
    began = time.monotonic()

    with pytest.raises(Unreachable):
        get(issuer)
    assert time.monotonic() - began < SECONDS + 1.5  # a drip would take five seconds
    assert issuer.asked.keys() == {JWKS}


def test_an_answer_as_large_as_allowed_is_returned(issuer: Elsewhere) -> None:
    issuer.answers[JWKS] = answering(b"x" * 1000)

    assert get(issuer) == b"x" * 1000


def test_proxies_of_the_environment_are_not_used(
    issuer: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert get(issuer).startswith(b'{"keys"')


@pytest.mark.parametrize(
    "url",
    ["https://127.0.0.1:{port}/", "http://127.0.0.1:1/", "http://no-such-host.invalid/"],
    ids=["no TLS there", "nobody listens", "no such host"],
)
def test_whoever_is_not_there_is_unreachable(issuer: Elsewhere, url: str) -> None:
    port = issuer.url.rpartition(":")[2]

    with pytest.raises(Unreachable):
        fetch(url.format(port=port), seconds=1, max_bytes=10)
