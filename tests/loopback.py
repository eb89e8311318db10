"""A real server on a loopback socket, for requests that a client library would tidy up."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from time import monotonic, sleep
from typing import Any

import uvicorn

SECONDS = 10


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the status, the headers by lower-case name, and the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@contextmanager
def serving(app: Any, **options: Any) -> Iterator[int]:
    """Serve the application on 127.0.0.1 as `limen serve` does, and give the port."""
    like_ours: dict[str, Any] = {"http": "h11", "log_config": None, "proxy_headers": False}
    config = uvicorn.Config(app, **like_ours | options)
    server = uvicorn.Server(config)
    # Only of a socket that says TCP does asyncio know that answers are not to wait for an ACK.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        thread = Thread(target=server.run, args=([listener],))
        thread.start()
        deadline = monotonic() + SECONDS
        while not server.started and thread.is_alive() and monotonic() < deadline:
            sleep(0.01)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(SECONDS)


def request(
    port: int, target: str, *headers: str, method: str = "GET", host: str = "127.0.0.1"
) -> Answer:
    """Send this request line and these headers, byte for byte, and read the answer to its end."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    return exchange(port, "\r\n".join([*lines, "", ""]).encode("latin-1"))


def handshake(port: int, target: str, *headers: str, host: str = "127.0.0.1") -> Answer:
    """Ask for a WebSocket at this target: 101 if the server opens it."""
    lines = [
        f"GET {target} HTTP/1.1",
        f"Host: {host}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *headers,
    ]
    return exchange(port, "\r\n".join([*lines, "", ""]).encode("latin-1"))


def exchange(port: int, sent: bytes) -> Answer:
    """Send bytes and parse what comes back until the server closes or opens a WebSocket."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        connection.sendall(sent)
        while chunk := connection.recv(65536):
            received += chunk
            if received.startswith(b"HTTP/1.1 101 "):
                break
    head, _, body = received.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in rest)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    return Answer(int(first.split(" ")[1]), headers, body)
