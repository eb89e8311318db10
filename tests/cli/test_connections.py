"""Connections that begin a request and take their time, against a real server."""

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI, Request

from limen.cli.connections import Connection
from tests.cli.processes import COMMAND
from tests.cli.processes import serving as serving_process
from tests.loopback import SECONDS, serving

HEAD_SECONDS = 0.5
BEGUN = b"POST / HTTP/1.1\r\nHost: x\r\nX-Slow: "
WHOLE = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
TOO_LONG = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"

app = FastAPI()


@app.post("/")
async def slow(request: Request) -> str:
    """Answer once the body begins, as a refusal does, after longer than a head may take."""
    async for _ in request.stream():
        break
    await asyncio.sleep(2 * HEAD_SECONDS)
    return "done"


class Hurried(Connection):
    head_seconds = HEAD_SECONDS


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(app, http=Hurried) as port:
        yield port


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=SECONDS)


def answered(connection: socket.socket, requests: int = 1) -> int:
    """Read the answers to so many requests; return how many were good."""
    answers = b""
    while answers.count(b'"done"') < requests:
        answers += connection.recv(4096)
    return answers.count(b"HTTP/1.1 200")


def seconds_until_closed(connection: socket.socket) -> float:
    """Send one more byte now and then, until the other side is gone."""
    connection.settimeout(0.05)
    began = time.monotonic()
    while time.monotonic() - began < SECONDS:
        try:
            connection.sendall(b"x")
            if connection.recv(4096) == b"":
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - began


@pytest.mark.parametrize(
    "before",
    [
        pytest.param((), id="first"),
        pytest.param((WHOLE,), id="after an answer"),
        pytest.param((WHOLE, WHOLE), id="after two"),
        pytest.param((TOO_LONG,), id="after a refused body"),
    ],
)
def test_a_head_that_never_ends_is_not_waited_for_however_it_trickles(
    port: int, before: tuple[bytes, ...]
) -> None:
    with connected(port) as connection:
        for request in before:
            connection.sendall(request)
            assert answered(connection) == 1
        connection.sendall(BEGUN)

        assert HEAD_SECONDS / 2 < seconds_until_closed(connection) < SECONDS / 2


def test_a_request_in_work_outlasts_the_wait_for_its_head(port: int) -> None:
    with connected(port) as connection:
        time.sleep(HEAD_SECONDS / 2)
        connection.sendall(WHOLE)

        assert answered(connection) == 1


def test_requests_that_came_at_once_are_all_answered(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(WHOLE * 3)

        assert answered(connection, 3) == 3


def test_connections_never_use_up_the_files(tmp_path: Path) -> None:
    """300 connections to a process of 200 files: it hangs up on some, and then goes on."""
    few = ("/bin/sh", "-c", 'ulimit -n 200; exec "$@"', "sh", *COMMAND)
    with serving_process(tmp_path / "data", command=few) as server:
        held = [connected(server.port) for _ in range(300)]
        assert all(seconds_until_closed(connection) < 1 for connection in held[-50:])
        for connection in held:
            connection.close()
        with connected(server.port) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")

    assert "out of system resource" not in (tmp_path / "log").read_text()
