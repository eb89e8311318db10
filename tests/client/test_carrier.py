"""How calls are carried: each has a client of its own, and an end."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator

import httpx2
import pytest

from limen.client.calls import Answer, Call
from limen.client.carrier import Carrier

pytestmark = pytest.mark.anyio

CALL = Call("/refresh", {"refresh_token": "a token"})
SECONDS = 60  # longer than anything here takes on a busy machine


@pytest.fixture
def trickle() -> Iterator[str]:
    """Something that listens, and answers every request a byte at a time, for ever."""
    over = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not over.wait(0.05):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

    def serve(listener: socket.socket) -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        over.set()
        thread.join()


def carrier(url: str, deadline: float) -> Carrier:
    def client() -> httpx2.Client:
        return httpx2.Client(trust_env=False)

    def async_client() -> httpx2.AsyncClient:
        return httpx2.AsyncClient(trust_env=False)

    return Carrier(url, client, async_client, deadline)


async def test_an_answer_that_never_ends_is_none(trickle: str) -> None:
    slow = carrier(trickle, 0.5)
    async with asyncio.timeout(SECONDS):
        answers = [await slow.ado(CALL), await asyncio.to_thread(slow.do, CALL)]

    assert answers == [Answer(0, why="TimeoutError")] * 2


def test_nothing_is_sent_after_the_deadline() -> None:
    """Somebody else may use the token by then: docs/refresh.md relies on it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        opened = threading.Event()

        def slowly() -> httpx2.Client:
            time.sleep(0.3)  # a name server, say, or a proxy
            opened.set()
            return httpx2.Client(trust_env=False)

        late = carrier(f"http://127.0.0.1:{listener.getsockname()[1]}", 0.1)
        late = Carrier(late.url, slowly, late.async_client, late.deadline)
        assert late.do(CALL) == Answer(0, why="TimeoutError")
        assert opened.wait(SECONDS)
        listener.settimeout(SECONDS)
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(SECONDS)
            assert connection.recv(1) == b""


def test_a_program_that_ends_and_starts_no_threads_is_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def at_the_end(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", at_the_end)
    nobody = carrier("http://127.0.0.1:1", SECONDS)

    assert nobody.do(CALL) == Answer(0, why="ConnectError")
