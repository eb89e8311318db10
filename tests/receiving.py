"""Who receives webhooks, on a loopback port: answers as it is told to, and keeps what came."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

CRLF = b"\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Post:
    """One request: its target, its headers by lower-case name, and its body."""

    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """Answers each request with the next of `answers`, and with the last of them for ever.

    After `endlessly` of an answer it goes on writing until the other end closes; it `hangs` before
    it answers, until `goes_on` is set. `arrived` is set when something has come.
    """

    url: str = ""
    answers: list[bytes] = field(default_factory=lambda: [OK])
    endlessly: bytes = b""
    hangs: bool = False
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    posts: list[Post] = field(default_factory=list)

    def answer(self, *statuses: int, headers: bytes = b"") -> None:
        self.answers = [
            b"HTTP/1.1 %d Told\r\nContent-Length: 0\r\n%s\r\n" % (status, headers)
            for status in statuses
        ]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readexactly(1)
            if head == b"\x16":
                return  # somebody speaks TLS
            head += await reader.readuntil(CRLF + CRLF)
            first, *lines = head.decode("latin-1").strip().split("\r\n")
            pairs = (line.partition(": ") for line in lines)
            headers = {name.lower(): value for name, _, value in pairs}
            body = await reader.readexactly(int(headers["content-length"]))
            self.posts.append(Post(first.split(" ")[1], headers, body))
            self.arrived.set()
            if self.hangs:
                await self.goes_on.wait()
            writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
            while self.endlessly:
                writer.write(self.endlessly)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the other end has left
        finally:
            writer.close()


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """Receive for the length of the block."""
    receiver = Receiver()
    async with await asyncio.start_server(receiver.serve, "127.0.0.1", ssl=tls) as server:
        port = server.sockets[0].getsockname()[1]
        receiver.url = f"http{'s' if tls else ''}://localhost:{port}/hook"
        try:
            yield receiver
        finally:
            receiver.goes_on.set()
