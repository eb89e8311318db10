"""What limen acknowledged to people, and whether it still holds.

A fault may take an answer away, and nobody is owed what he was never told. What was told counts:

    a pair of tokens, 200           the next refresh with it works, until its session is ended
    a logout, 204                   no token of that session is good for anything again
    a new password, a disabling     nor is one of any session that was there before it

While people use limen they write down what they are told. Afterwards `load.verdict` asks limen
about all of it. Every moment here is `time.monotonic`, to be compared with that of a fault.
"""

import json
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any, Literal

import httpx2

from tests.tokens import unb64

End = Literal["logout", "disabled", "password_changed"]


@dataclass(frozen=True, slots=True)
class Ending:
    """The acknowledged end of a session, and the last tokens that it had."""

    why: End
    at: float
    sid: str
    tokens: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request: when it was answered, after how long, and how; status 0 is no answer."""

    path: str
    at: float
    took: float
    status: int


@dataclass(slots=True)
class Ledger:
    """What people were told.

    `handed` has the refresh tokens of each session by its sid, by generation. `signed_out` names
    the sessions of keyed people that were refused to them, `anew` counts those of bare people;
    `unexpected` are answers that no fault excuses, `forks` are generations with two tokens.
    """

    handed: dict[str, dict[int, str]] = field(default_factory=lambda: defaultdict(dict), repr=False)
    endings: list[Ending] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list, repr=False)
    signed_out: list[str] = field(default_factory=list)
    anew: int = 0
    unexpected: list[str] = field(default_factory=list)
    forks: list[str] = field(default_factory=list)

    def pair(self, tokens: dict[str, Any]) -> None:
        """Note a pair of tokens that somebody was given."""
        refresh_token = tokens["refresh_token"]
        generations, gen = self.handed[sid_of(tokens)], int(payload(refresh_token)["gen"])
        if generations.setdefault(gen, refresh_token) != refresh_token or gen < max(generations):
            self.forks.append(f"session {sid_of(tokens)}, generation {gen}")

    def ended(self, why: End, tokens: dict[str, Any]) -> None:
        """Note that the session of these tokens was acknowledged as ended."""
        self.endings.append(Ending(why, time.monotonic(), sid_of(tokens), tokens))

    def refused(self, tokens: dict[str, Any], *, keyed: bool) -> None:
        """Note that the session of these tokens was refused to its owner."""
        if keyed:
            self.signed_out.append(sid_of(tokens))
        else:
            self.anew += 1

    def answers(self, *statuses: int, since: float = 0) -> list[Exchange]:
        """Return the requests that were answered so since a moment."""
        return [one for one in self.exchanges if one.status in statuses and one.at >= since]

    def without_service(self) -> float:
        """Return the longest time in which nobody at all was served, in seconds."""
        served = [one.at for one in self.answers(200, 204)]
        return max((later - earlier for earlier, later in pairwise(served)), default=0)

    def figures(self) -> str:
        """Return in one line how much happened."""
        statuses = Counter(one.status or "no answer" for one in self.exchanges)
        answers = ", ".join(f"{count} x {status}" for status, count in statuses.most_common())
        return (
            f"{len(self.handed)} sessions, {len(self.endings)} ended, "
            f"{self.anew} bare clients signed in anew; {answers}"
        )


ANY = "any.limen.test"


class Wire(httpx2.AsyncBaseTransport):
    """Sends what is for `ANY` to one of `urls`, which may change meanwhile; notes the answers."""

    def __init__(self, urls: list[str], ledger: Ledger, rng: Random) -> None:
        self._urls = urls
        self._ledger = ledger
        self._rng = rng
        self._transport = httpx2.AsyncHTTPTransport(limits=httpx2.Limits(max_connections=200))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.host == ANY:
            chosen = httpx2.URL(self._rng.choice(self._urls))
            request.url = request.url.copy_with(host=chosen.host, port=chosen.port)
        began, status = time.monotonic(), 0
        try:
            response = await self._transport.handle_async_request(request)
            status = response.status_code
            if status == 503 and int(response.headers.get("Retry-After", 0)) < 1:
                self._ledger.unexpected.append("503 without Retry-After")
            return response
        finally:
            now = time.monotonic()
            self._ledger.exchanges.append(Exchange(request.url.path, now, now - began, status))

    async def aclose(self) -> None:
        await self._transport.aclose()


def payload(token: str) -> dict[str, Any]:
    """Return what a token says, unverified."""
    said: dict[str, Any] = json.loads(unb64(token.split(".")[1]))
    return said


def sid_of(tokens: dict[str, Any]) -> str:
    return str(payload(tokens["access_token"])["sid"])
