"""A small HTTP client of our own, cheap enough not to be what is measured.

It writes prepared bytes and reads no more of an answer than where it ends. A load is made by it
where wrk is missing, and wherever latencies are measured: on a schedule, in an open loop. There a
request is due at its moment whether or not those before it were answered, and its latency counts
from that moment; a client that waits for answers would ask less of a slow server, and call it fast.
Nor does it look for garbage meanwhile: a tenth of a second of its own would be the server's fault.
"""

import asyncio
import gc
import heapq
import itertools
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from urllib.parse import urlsplit

PATIENCE = 30.0  # seconds for an answer


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; `latency` is in seconds since it was asked for, or should have been.

    The body of an answer in chunks still has their sizes in it.
    """

    status: int
    body: bytes
    latency: float
    asked_at: float


class Connection(asyncio.Protocol):
    """A connection that is kept, and carries one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._read = bytearray()
        self._waiting: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  of a stream it is one
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        head = self._read.find(b"\r\n\r\n")
        if head < 0 or self._waiting is None:
            return
        start = bytes(self._read[:head]).lower()
        end = self._end(start, head)
        if end is None or len(self._read) < end:
            return
        body = bytes(self._read[head + 4 : end])
        del self._read[:end]
        waiting, self._waiting = self._waiting, None
        if not waiting.done():
            waiting.set_result((int(start[9:12]), body))

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result((0, b""))

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    async def ask(self, request: bytes, due: float | None = None) -> Answer:
        """Send the request and return the answer; status 0 is a broken connection or silence."""
        due = time.perf_counter() if due is None else due
        if self._transport is None:
            return Answer(0, b"", 0.0, due)
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            async with asyncio.timeout(PATIENCE):
                status, body = await self._waiting
        except TimeoutError:
            self.close()
            status, body = 0, b""
        return Answer(status, body, time.perf_counter() - due, due)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _end(self, start: bytes, head: int) -> int | None:
        """Return where the answer ends; None while that has not been read."""
        if b"\r\ntransfer-encoding: chunked" in start:
            last = self._read.find(b"\r\n0\r\n\r\n", head + 2)
            return None if last < 0 else last + 7
        _, found, rest = start.partition(b"\r\ncontent-length:")
        return head + 4 + (int(rest.split(b"\r\n", 1)[0]) if found else 0)


class Client:
    """Connections to one address, opened as they are needed and used again."""

    def __init__(self, url: str) -> None:
        self._host, self._port = urlsplit(url).hostname or "", urlsplit(url).port or 80
        self._free: list[Connection] = []
        self._all: list[Connection] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Client"]:
        gc.disable()
        try:
            yield self
        finally:
            gc.enable()
            for connection in self._all:
                connection.close()
            await asyncio.sleep(0)

    async def ask(self, request: bytes, due: float | None = None) -> Answer:
        connection = await self._connection()
        answer = await connection.ask(request, due)
        if connection.is_open:
            self._free.append(connection)
        return answer

    async def scheduled(
        self,
        requests: Iterator[bytes],
        rate: float,
        seconds: float,
        rng: Random,
        *,
        hang_up: bool = False,
    ) -> list[Answer]:
        """Ask at random moments, so many a second on average; the seed repeats the moments.

        Whoever does not `hang_up` at the end waits for the answers that are still to come.
        """
        began = time.perf_counter()
        tasks = []
        for due in _moments(rate, seconds, rng):
            if (wait := began + due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            tasks.append(asyncio.create_task(self.ask(next(requests), began + due)))
        if hang_up:
            for task in tasks:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            return [one for one in done if isinstance(one, Answer)]
        return await asyncio.gather(*tasks)

    async def closed(
        self, requests: Callable[[int, bytes], bytes], connections: int, seconds: float
    ) -> list[Answer]:
        """Ask over so many connections, each again as soon as it is answered.

        `requests` is called with the connection's number and the body of its last answer.
        """
        end = time.perf_counter() + seconds
        answers: list[Answer] = []

        async def go_on(number: int) -> None:
            connection, last = await self._connection(), b""
            while time.perf_counter() < end and connection.is_open:
                answers.append(await connection.ask(requests(number, last)))
                last = answers[-1].body

        await asyncio.gather(*map(go_on, range(connections)))
        return answers

    async def _connection(self) -> Connection:
        while self._free:
            if (connection := self._free.pop()).is_open:
                return connection
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, self._host, self._port)
        self._all.append(connection)
        return connection


def request(method: str, path: str, headers: dict[str, str], body: str | None = None) -> bytes:
    """Return the bytes of a request."""
    all_ = {"Host": "benchmark", **headers}
    if body is not None:
        all_["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in all_.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n{body or ''}".encode("ascii")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which this share of the values lies (nearest rank)."""
    rank = max(1, math.ceil(share * len(values)))
    return heapq.nsmallest(rank, values)[-1] if values else math.nan


def _moments(rate: float, seconds: float, rng: Random) -> Iterator[float]:
    gaps = (rng.expovariate(rate) for _ in itertools.count())
    return itertools.takewhile(lambda moment: moment < seconds, itertools.accumulate(gaps))
