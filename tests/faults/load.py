"""Honest people who use limen over HTTP while something breaks, and what became of their trust.

    async with under_load(urls, features, seed=SEED) as crowd:      # people sign in and carry on
        await asyncio.to_thread(server.kill)                        # something breaks
        await asyncio.to_thread(server.start)
        await crowd.is_served()                                     # everybody, anew
    assert await verdict(crowd) == KEPT

Each person does one thing at a time: refresh, look, sign out and in again, or have an operator
change the password or disable the account and enable it again. Whatever is not answered, or
answered 503, is done again after a short pause until it is. Most are keyed: a key is made before
a refresh is sent, and is the same for every retry of that one refresh. Some are bare, and rotate
at each refresh; a bare retry cannot be told from a thief's, so they may have to sign in anew.

`urls` may be changed meanwhile: a server that was killed comes back elsewhere. `features` are the
operator's, opened on the same database; the servers need what `SETTINGS` says.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import TypeVar

import httpx2
from sqlalchemy import select

from limen.clock import system_clock
from limen.database.schema import sessions
from limen.errors import DatabaseUnavailable
from limen.events import Events
from limen.features import Features
from limen.memory import Memory
from limen.opening import opened
from limen.settings import Argon2Cost, Settings
from limen.verify.revocations import BOUND_SECONDS
from tests.cli.processes import Server, serving
from tests.faults.ledger import ANY, End, Ending, Ledger, Wire, sid_of
from tests.people import AUTH, PASSWORD, Person

T = TypeVar("T")

# Each attempt that a fault cuts off keeps its slots, and everybody calls from one address.
SETTINGS = {
    "LIMEN_LOGIN_LIMIT": "100 per 15m",
    "LIMEN_LOGIN_ADDRESS_LIMIT": "1000 per 15m",
}

# How often each thing is done. What ends a session is followed by a sign-in, which hashes.
DEEDS = {"refresh": 60, "look": 28, "sign out": 8, "change password": 2, "disable": 2}

PAUSE = 0.1  # between two things that somebody does, in seconds, on average
RETRY_PAUSE = 0.1
ANSWER_SECONDS = 30  # then it is no answer at all
PATIENCE = 60  # until somebody is served, everybody is, or all have finished


@dataclass
class Somebody:
    """A person, and how he refreshes; `served_at` is when he last got what he wanted."""

    person: Person
    keyed: bool
    features: Features
    ledger: Ledger
    rng: Random
    deeds: Mapping[str, int]
    served_at: float = 0

    async def carry_on(self, leaving: asyncio.Event) -> None:
        """Do one thing after the other, and leave between two of them."""
        doing: dict[str, Callable[[], Awaitable[None]]] = {
            "refresh": self.refresh,
            "look": self.look,
            "sign out": self.sign_out,
            "change password": self.change_password,
            "disable": self.disable,
        }
        while not leaving.is_set():
            (deed,) = self.rng.choices([*self.deeds], [*self.deeds.values()])
            await doing[deed]()
            self.served_at = time.monotonic()
            await asyncio.sleep(self.rng.uniform(0, 2 * PAUSE))

    async def sign_in(self) -> None:
        self._handed("sign-in", await answer(self.person.sign_in))

    async def refresh(self) -> None:
        key = new_key() if self.keyed else None
        token = self.person.tokens["refresh_token"]
        response = await answer(lambda: self.person.refresh(token, key))
        if response.status_code == 401:
            self.ledger.refused(self.person.tokens, keyed=self.keyed)
            await self.sign_in()
        else:
            self._handed("refresh", response)

    async def look(self) -> None:
        response = await answer(self.person.me)
        if response.status_code != 200:
            self._surprised("look", response)
            await self.sign_in()

    async def sign_out(self) -> None:
        response = await answer(self.person.log_out)
        if response.status_code != 204:
            self._surprised("sign-out", response)
        await self._ended("logout")

    async def change_password(self) -> None:
        password = secrets.token_urlsafe(16)
        accounts = self.features.accounts
        await until_done(lambda: accounts.set_password(self.person.user_id, password))
        self.person.password = password
        await self._ended("password_changed")

    async def disable(self) -> None:
        accounts = self.features.accounts
        await until_done(lambda: accounts.disable(self.person.user_id))
        self.ledger.ended("disabled", self.person.tokens)
        await until_done(lambda: accounts.enable(self.person.user_id))
        await self.sign_in()

    async def _ended(self, why: End) -> None:
        self.ledger.ended(why, self.person.tokens)
        await self.sign_in()

    def _handed(self, what: str, response: httpx2.Response) -> None:
        if response.status_code == 200:
            self.ledger.pair(self.person.tokens)
        else:
            self._surprised(what, response)

    def _surprised(self, what: str, response: httpx2.Response) -> None:
        self.ledger.unexpected.append(f"{what}: {response.status_code} {response.json()['code']}")


@dataclass
class Crowd:
    """Everybody, and what they were told."""

    people: list[Somebody]
    ledger: Ledger
    urls: list[str]
    features: Features

    async def is_served(self) -> float:
        """Wait until everybody has done something since now; return after how many seconds."""
        began = time.monotonic()
        async with asyncio.timeout(PATIENCE):
            while any(one.served_at < began for one in self.people):  # noqa: ASYNC110  nothing tells
                await asyncio.sleep(0.01)
        return time.monotonic() - began


@dataclass(frozen=True, slots=True)
class Verdict:
    """What did not hold; nothing, if all is well."""

    lost: tuple[Ending, ...] = ()
    signed_out: tuple[str, ...] = ()
    forks: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    strays: int = 0


KEPT = Verdict()


@asynccontextmanager
async def operator(settings: Settings, cost: Argon2Cost | None = None) -> AsyncIterator[Features]:
    """Open the features beside the servers, as `limen users` does."""
    async with opened(
        settings,
        Memory.of(settings, system_clock),
        clock=system_clock,
        events=Events(),
        cost=cost,
        to_serve=False,
    ) as features:
        yield features


@contextlib.contextmanager
def two_processes(settings: Settings, folder: Path) -> Iterator[list[Server]]:
    """Run `limen serve` twice with these settings, each in a folder of its own."""
    assert settings.secret is not None  # shared, as on two machines
    variables = {
        **SETTINGS,
        "LIMEN_DATABASE_URL": settings.database_url,
        "LIMEN_SECRET": ",".join(settings.secret),
    }
    for name in ("one", "two"):
        (folder / name).mkdir()
    with (
        serving(folder / "one" / "data", **variables) as one,  # type: ignore[arg-type]
        serving(folder / "two" / "data", **variables) as two,  # type: ignore[arg-type]
    ):
        yield [one, two]


@asynccontextmanager
async def under_load(
    urls: list[str],
    features: Features,
    *,
    seed: int,
    keyed: int = 9,
    bare: int = 3,
    deeds: Mapping[str, int] = DEEDS,
) -> AsyncIterator[Crowd]:
    """Have people use limen for the length of the block; at its end each finishes what he does.

    The seed decides who does what when, as far as the answers let it.
    """
    rng, ledger, leaving = Random(seed), Ledger(), asyncio.Event()
    async with _client(urls, ledger, rng) as http:
        crowd = Crowd([], ledger, urls, features)
        for number in range(keyed + bare):
            email = f"{secrets.token_hex(8)}@example.com"
            account = await features.accounts.create(email, PASSWORD)
            person = Person(http, email, account.user_id)
            own = Random(rng.random())
            crowd.people.append(Somebody(person, number < keyed, features, ledger, own, deeds))
        await asyncio.gather(*(one.sign_in() for one in crowd.people))
        async with asyncio.timeout(None) as patience, asyncio.TaskGroup() as group:
            for one in crowd.people:
                group.create_task(one.carry_on(leaving))
            try:
                yield crowd
            finally:
                leaving.set()
                patience.reschedule(asyncio.get_running_loop().time() + PATIENCE)


async def guest(features: Features, http: httpx2.AsyncClient) -> Person:
    """Give somebody an account and sign him in; he does nothing by himself."""
    email = f"{secrets.token_hex(8)}@example.com"
    account = await features.accounts.create(email, PASSWORD)
    person = Person(http, email, account.user_id)
    assert (await person.sign_in()).status_code == 200
    return person


async def verdict(crowd: Crowd) -> Verdict:
    """Ask limen about everything that it acknowledged.

    That uses up the tokens: the crowd can do nothing afterwards.
    """
    ledger, asked = crowd.ledger, Ledger()
    async with _client(crowd.urls, asked, Random(0)) as http:
        signed_out = [one for one in crowd.people if not await _goes_on(one, http)]
        late = time.monotonic() + BOUND_SECONDS
        lost = [
            ending
            for ending in ledger.endings
            if await _refreshes(ending, http)
            or any([await _opens(ending, url, http, late) for url in crowd.urls])
        ]
        forks = [sid for sid, tokens in ledger.handed.items() if await _has_two(tokens, http)]
    signed_out_sids = [sid_of(one.person.tokens) for one in signed_out]
    return Verdict(
        tuple(lost),
        (*ledger.signed_out, *signed_out_sids),
        (*ledger.forks, *forks),
        tuple(ledger.unexpected),
        await _strays(crowd),
    )


def new_key() -> str:
    """Return an Idempotency-Key: 32 random characters."""
    return secrets.token_urlsafe(24)


async def answer(send: Callable[[], Awaitable[httpx2.Response]]) -> httpx2.Response:
    """Send until there is an answer that is not 503."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(httpx2.TransportError):
                response = await send()
                if response.status_code != 503:
                    return response
            await asyncio.sleep(RETRY_PAUSE)


async def until_done(work: Callable[[], Awaitable[T]]) -> T:
    """Try until the database is there for it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(DatabaseUnavailable):
                return await work()
            await asyncio.sleep(RETRY_PAUSE)


def _client(urls: list[str], ledger: Ledger, rng: Random) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        transport=Wire(urls, ledger, rng), base_url=f"http://{ANY}", timeout=ANSWER_SECONDS
    )


async def _goes_on(one: Somebody, http: httpx2.AsyncClient) -> bool:
    """Whether somebody can go on with the tokens that he has."""
    key = new_key() if one.keyed else None
    person = replace(one.person, http=http)
    return (await answer(lambda: person.refresh(key=key))).status_code == 200


async def _refreshes(ending: Ending, http: httpx2.AsyncClient) -> bool:
    """Whether a session that has ended can be refreshed."""
    gone = Person(http, "", "", tokens=ending.tokens)
    return (await answer(gone.refresh)).status_code != 401


async def _opens(ending: Ending, url: str, http: httpx2.AsyncClient, late: float) -> bool:
    """Whether its access token is still let in here, when this limen is late to know better."""
    bearer = Person(http, "", "", tokens=ending.tokens).bearer()
    while (await http.get(f"{url}{AUTH}/me", headers=bearer)).status_code != 401:
        if time.monotonic() > late:
            return True
        await asyncio.sleep(RETRY_PAUSE)
    return False


async def _has_two(generations: Mapping[int, str], http: httpx2.AsyncClient) -> bool:
    """Whether a token works although its successor was handed out."""
    *before, _ = sorted(generations)
    if not before:
        return False
    used = Person(http, "", "", tokens={"refresh_token": generations[before[-1]]})
    return (await answer(used.refresh)).status_code == 200


async def _strays(crowd: Crowd) -> int:
    """Count the sessions in the database that nobody was given and no lost answer explains."""
    mine = sessions.c.user_id.in_([one.person.user_id for one in crowd.people])

    async def sids() -> set[str]:
        async with crowd.features.database.read() as connection:
            return {*(await connection.execute(select(sessions.c.sid).where(mine))).scalars()}

    nobodys = await until_done(sids) - {*crowd.ledger.handed}
    unanswered = [one for one in crowd.ledger.answers(0, 503) if one.path == f"{AUTH}/login"]
    return max(0, len(nobodys) - len(unanswered))
