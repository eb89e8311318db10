"""A list of leaked passwords on a loopback port, which answers as it is told to."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

CRLF = b"\r\n"
PADDING = b"0" * 34 + b"1:0"


@dataclass
class Ranges:
    """What it answers, each piece of it after `pause` seconds, and what it was asked."""

    pieces: list[bytes] = field(default_factory=list)
    pause: float = 0.0
    url: str = ""
    asked: list[bytes] = field(default_factory=list)

    def answers(self, *lines: bytes) -> None:
        self.pieces = [answer(*lines)]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await reader.readuntil(CRLF + CRLF):
                self.asked.append(request)
                for piece in self.pieces:
                    await asyncio.sleep(self.pause)
                    writer.write(piece)
                    await writer.drain()
                if b"Connection: close" in self.pieces[0]:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the caller has left
        finally:
            writer.close()


def answer(*lines: bytes, status: bytes = b"200 OK", headers: bytes = b"") -> bytes:
    """Return a whole answer, byte for byte."""
    body = CRLF.join(lines)
    head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n" % (status, len(body), headers)
    return head + body


def leaked(password: str, times: int = 3) -> bytes:
    """Return the line of a range that says so."""
    return b"%s:%d" % (digest_of(password)[5:], times)


def digest_of(password: str) -> bytes:
    return hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper().encode()


@asynccontextmanager
async def a_list() -> AsyncIterator[Ranges]:
    """Serve one for the length of the block."""
    ranges = Ranges()
    async with await asyncio.start_server(ranges.serve, "127.0.0.1") as server:
        ranges.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/range"
        yield ranges
