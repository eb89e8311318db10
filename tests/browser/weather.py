"""A bad network between browsers and limen: an HTTP relay that loses, doubles and delays.

A request is read whole, passed on, and answered whole, each on connections of its own, so that
losing one is losing just that one. What is lost after limen has decided is the hard case: the
browser sees a connection that ends, and limen has committed.

Who tests from within a browser or Node needs hands outside it: `POST /-/tick/2000` moves limen's
clock, `POST /-/weather/dark` changes the weather, and `POST /-/refusals/503/30` has requests for
tokens refused with a Retry-After. `GET /-/page` is a page to be on. `/-/orders` belongs to an
application that takes orders from pages of any origin, and refuses the first token that it sees.
"""

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, Literal, NamedTuple

Fate = Literal["passed", "request lost", "answer lost", "doubled", "late", "unavailable"]
Weather = Literal["calm", "storm", "dark", "mute", "refusals"]

# The weight of each fate. Everything may happen to a request for tokens, and does.
FATES: Final[dict[Weather, dict[Fate, int]]] = {
    "calm": {"passed": 1},
    "storm": {
        "passed": 40,
        "answer lost": 25,
        "request lost": 10,
        "doubled": 10,
        "late": 10,
        "unavailable": 5,
    },
    "dark": {"request lost": 1},
    "mute": {"answer lost": 1},
    "refusals": {"unavailable": 1},
}
# The challenge is not exposed: a page of another origin sees the 401 alone.
CORS = "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Headers: Authorization\r\n"
CHALLENGE = 'WWW-Authenticate: Bearer error="invalid_token"\r\n'
LATE = 0.15  # seconds
SECONDS = 30  # longer than anything here takes on a busy machine
UNAVAILABLE = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n"
    b"Connection: close\r\n\r\naway"
)


class Request(NamedTuple):
    """A request as it was sent."""

    method: str
    target: str
    raw: bytes


class Network:
    """The relay. `tick` moves limen's clock; `fell` counts the fates of requests for tokens."""

    def __init__(self, to: int, tick: Callable[[float], None], page: bytes, seed: int) -> None:
        self._to = to
        self._tick = tick
        self._page = page
        self._random = random.Random(seed)
        self.weather: Weather = "calm"
        self.fell: Counter[Fate] = Counter()
        self.targets: list[str] = []
        self.ordered: list[str] = []  # the Authorization of each order
        self._refusal = b""
        self._under_way = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Network"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://localhost:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for writer in [*self._writers]:  # browsers open connections in advance
                writer.close()
            while self._writers:  # noqa: ASYNC110  each takes itself out
                await asyncio.sleep(0.01)

    async def quiet(self) -> None:
        """Wait until nothing is on its way: a minute later nothing may be, of what is sent now."""
        async with asyncio.timeout(SECONDS):
            while self._under_way:  # noqa: ASYNC110  a test waits
                await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            request = await _read(reader)
            self.targets.append(request.target)
            writer.write(await self._answer(request))
            await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        self._writers.discard(writer)

    async def _answer(self, request: Request) -> bytes:
        match request.target.partition("?")[0].split("/")[1:]:
            case ["-", "page"]:
                return _response(self._page)
            case ["-", "orders"]:
                return self._ordered(request)
            case ["-", *order]:
                await self._obey(order)
                return _response(b"")
            case ["api", "v1", "auth", "refresh" | "login" | "logout"]:
                return await self._through(request)
            case _:
                return await self._passed_on(request)

    async def _obey(self, order: list[str]) -> None:
        match order:
            case ["tick", seconds]:
                await self.quiet()
                self._tick(float(seconds))
            case ["weather", "calm" | "storm" | "dark" | "mute" as weather]:
                self.weather = weather
            case ["refusals", status, retry_after]:
                self.weather, self._refusal = "refusals", _refusal(status, retry_after)
            case _:
                raise AssertionError(f"nobody knows what {order} is")

    def _ordered(self, request: Request) -> bytes:
        if request.method == "OPTIONS":
            return _response(b"", "200 OK", CORS)
        token = re.search(rb"^authorization: *(.*)\r", request.raw, re.IGNORECASE | re.MULTILINE)
        self.ordered.append(token[1].decode() if token else "")
        if self.ordered[-1] == self.ordered[0]:
            return _response(b"", "401 Unauthorized", CORS + CHALLENGE)
        return _response(b"", "201 Created", CORS)

    async def _through(self, request: Request) -> bytes:
        fates = FATES[self.weather]
        (fate,) = self._random.choices([*fates], [*fates.values()])
        self.fell[fate] += 1
        match fate:
            case "request lost":
                return b""
            case "answer lost":
                await self._passed_on(request)
                return b""
            case "doubled":
                return (await asyncio.gather(*[self._passed_on(request) for _ in "12"]))[1]
            case "late":
                answer = await self._passed_on(request)
                await asyncio.sleep(LATE)
                return answer
            case "unavailable":
                return self._refusal if self.weather == "refusals" else UNAVAILABLE
            case _:
                return await self._passed_on(request)

    async def _passed_on(self, request: Request) -> bytes:
        self._under_way += 1
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._to)
            writer.write(request.raw)
            answer = await reader.read()
            writer.close()
        finally:
            self._under_way -= 1
        return answer


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = re.search(r"^content-length: *(\d+)", head, re.IGNORECASE | re.MULTILINE)
    body = await reader.readexactly(int(length[1])) if length else b""
    method, target, _ = head.split(" ", 2)
    alone = re.sub(r"^connection:.*\r\n", "", head, flags=re.IGNORECASE | re.MULTILINE)
    raw = alone[:-2].encode("latin-1") + b"Connection: close\r\n\r\n" + body
    return Request(method, target, raw)


def _refusal(status: str, retry_after: str) -> bytes:
    code = {"429": "too_many_attempts", "503": "database_unavailable"}[status]
    body = f'{{"code": "{code}", "detail": "Not now."}}'.encode()
    return _response(body, f"{status} Refused", f"Retry-After: {retry_after}\r\n")


def _response(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n"
    return (head + headers).encode() + b"Connection: close\r\n\r\n" + body
