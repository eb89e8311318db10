"""A request goes out as it is, and a redirect, silence or a broken answer is only told of."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from limen.probe.sending import Answer, Target

SECRET = "e30.e30.c2VjcmV0"


@contextmanager
def answering(answer: bytes | None) -> Iterator[tuple[str, list[bytes]]]:
    """Listen for one connection, note what it sends, and answer so, or not at all."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(10)
                heard.append(connection.recv(65536))
                if answer is None:
                    heard.append(connection.recv(1))  # until the other side gives up
                else:
                    connection.sendall(answer)

        thread = Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/me?a=b", heard
        thread.join(10)


def test_a_request_is_sent_as_it_is() -> None:
    headers = (("Authorization", f"Bearer {SECRET}"), ("Authorization", "x"))
    with answering(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n") as (url, heard):
        answer = Target(url, headers=(("X-Tenant", "a"),)).send(headers, "access_token=c")

    assert answer == Answer(401)
    lines = heard[0].decode().split("\r\n")
    assert lines[0] == "GET /me?a=b&access_token=c HTTP/1.1"
    assert lines[-5:] == [
        "X-Tenant: a",
        f"Authorization: Bearer {SECRET}",
        "Authorization: x",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("2", 2), ("0", 0), ("-1", None), ("Fri, 31 Dec 1999 23:59:59 GMT", None), ("soon", None)],
)
def test_retry_after_is_heard(said: str, seconds: int | None) -> None:
    busy = f"HTTP/1.1 429 Busy\r\nRetry-After: {said}\r\nContent-Length: 0\r\n\r\n"
    with answering(busy.encode()) as (url, _):
        assert Target(url).send(()) == Answer(429, retry_after=seconds)


def test_a_redirect_is_not_followed() -> None:
    redirect = b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n"
    with answering(redirect) as (url, heard):
        assert Target(url).send(()) == Answer(302)
    assert len(heard) == 1


def test_the_body_is_not_waited_for() -> None:
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{"
    with answering(endless) as (url, _):
        assert Target(url).send(()) == Answer(200)


def test_silence_ends() -> None:
    with answering(None) as (url, _):
        assert str(Target(url, timeout=0.2).send(())) == "no answer in time"


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n"])
def test_a_broken_answer_is_told_by_its_kind(answer: bytes) -> None:
    with answering(answer) as (url, _):
        assert Target(url).send(()).status is None


def test_a_failure_repeats_nothing_of_what_was_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        answer = Target(url).send((("Authorization", f"Bearer {SECRET}\n"),))

    assert answer == Answer(None, "ValueError")


@pytest.mark.parametrize("url", ["http://[::1", "https://", "https://a/ b", "https://a:b/", "x"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        Target(url)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000"])
def test_plain_http_is_for_this_machine(host: str) -> None:
    assert Target(f"http://{host}/me?q").shown == f"http://{host}/me"
