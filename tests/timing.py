"""Whether time tells who has an account: `python -m tests.timing --rounds 200`.

Every call that anybody can make is timed for each class of account and of input, and compared with
the same call for an address that nobody has. A round makes each call once, in random order, so that
whatever else the machine does hits all of them alike; each account is used once, so that none is
warmer than another. What a call leaves to be done afterwards is done before the next one.

    gap     the median of the class less that of nobody's address, in milliseconds
    t       Welch's: how many standard errors lie between the two means
    sees    the gap that so many samples, as noisy as these, would have shown for sure

A class stands out if both gap and t are beyond the limits below. Limits on guesses allow an
attacker 480 samples a day of an account. Hashes of some 30 ms vary by some 3 ms, so in a day he
could see a gap of about 0.8 ms, if he sat on the machine itself. Where `sees` is much more than
that, the machine was too busy for the table to say anything.
"""

import argparse
import asyncio
import logging
import random
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import count
from math import sqrt
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx2
from sqlalchemy import insert

from limen.accounts import Account
from limen.database.schema import accounts
from limen.limen import Limen
from limen.lock import STRANGERS
from limen.outbox import Letter
from limen.settings import Limit, Settings
from limen.stored_hashes import NO_PASSWORD, front_of
from tests.clock import ManualClock
from tests.mailbox import MAIL_FROM, SMTP_URL
from tests.people import AUTH, PASSWORD, attempt, calling_from, forgot
from tests.postgresql import Databases, a_server
from tests.test_stored_hashes import pbkdf2

GAP: Final = 1.0  # milliseconds
T: Final = 4.5

WRONG = "not the password"
NOBODY = "nobody"

Call = Callable[[httpx2.AsyncClient, str], Awaitable[httpx2.Response]]


async def sign_in(http: httpx2.AsyncClient, email: str) -> httpx2.Response:
    return await attempt(http, email, WRONG)


async def sign_in_with_nothing(http: httpx2.AsyncClient, email: str) -> httpx2.Response:
    return await attempt(http, email, "")


async def register(http: httpx2.AsyncClient, email: str) -> httpx2.Response:
    return await http.post(f"{AUTH}/register", json={"email": email, "password": PASSWORD})


# What is other than usual in the rows of such accounts.
Changes = Mapping[str, Any]
STATES: Mapping[str, Changes] = {
    "verified": {"verified_at": 1},
    "unverified": {},
    "disabled": {"disabled_at": 1},
    "locked": {"failures": STRANGERS},
    "reset required": {"reset_required_at": 1},
    "no password": {"password_hash": NO_PASSWORD},
}
IMPORTED: Changes = {"password_hash": pbkdf2()}


class Timed(NamedTuple):
    """A call that is timed, and for which class; `changes` is None for addresses of nobody.

    If those are to be `like_imported`, they are checked against an imported hash, too. Of a call
    that is `limited` the second one is timed, which a limit refuses.
    """

    call: str
    of: str
    make: Call
    changes: Changes | None
    like_imported: bool = False
    limited: bool = False


def timed() -> Iterator[Timed]:
    calls: Mapping[str, Call] = {"login": sign_in, "forgot": forgot, "register": register}
    for name, call in calls.items():
        for of, changes in {NOBODY: None, **STATES}.items():
            yield Timed(name, of, call, changes)
    for of, changes in {NOBODY: None, "verified": STATES["verified"]}.items():
        yield Timed("login, empty password", of, sign_in_with_nothing, changes)
        yield Timed("login, limit reached", of, sign_in, changes, limited=True)
    for of, changes in {NOBODY: None, "verified": IMPORTED}.items():
        yield Timed("login, imported hash", of, sign_in, changes, like_imported=True)


class Row(NamedTuple):
    """A class, compared with addresses that nobody has."""

    call: str
    of: str
    samples: int
    median: float
    gap: float
    t: float
    sees: float

    @property
    def held(self) -> bool:
        return abs(self.gap) <= GAP or abs(self.t) <= T


def standard_error(*samples: Sequence[float]) -> float:
    """Return how far the difference of two means is off, as a rule."""
    return sqrt(sum(statistics.variance(sample) / len(sample) for sample in samples))


def welch(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return Welch's t of two samples."""
    return (statistics.fmean(ours) - statistics.fmean(theirs)) / standard_error(ours, theirs)


def compared(times: Mapping[tuple[str, str], Sequence[float]]) -> Iterator[Row]:
    for (call, of), sample in times.items():
        if of != NOBODY:
            nobodys = times[call, NOBODY]
            median = statistics.median(sample)
            gap = median - statistics.median(nobodys)
            t, sees = welch(sample, nobodys), T * standard_error(sample, nobodys)
            yield Row(call, of, len(sample), median, gap, t, sees)


def lines(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the table in Markdown; times are in milliseconds."""
    yield "| call | account | samples | median | gap | t | sees | |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |"
    for row in rows:
        verdict = "" if row.held else "**stands out**"
        figures = (
            f"{row.samples} | {row.median:.2f} | {row.gap:+.2f} | {row.t:+.1f} | {row.sees:.2f}"
        )
        yield f"| {row.call} | {row.of} | {figures} | {verdict} |"


async def measured(database_url: str, directory: Path, rounds: int) -> Sequence[Row]:
    settings = Settings(
        data_dir=directory,
        database_url=database_url,
        signing_algorithm="ES256",
        login_limit=Limit(1, 900),
        login_address_limit=Limit(1000, 900),
        mail_address_limit=Limit(1000, 900),
        register_address_limit=Limit(1000, 900),
        smtp_url=SMTP_URL,
        mail_from=MAIL_FROM,
    )
    clock = ManualClock()
    limen = Limen(settings, clock=clock)
    async with limen.lifespan(), calling_from(limen, "198.51.100.7") as http:
        limen.features.outbox.carried_by("mail", _swallowed)
        return [*compared(await Rounds(limen, http, clock).run(rounds))]


async def _swallowed(_letter: Letter) -> str:
    return "went nowhere"


class Rounds:
    """Makes the calls, and notes how long they took."""

    def __init__(self, limen: Limen, http: httpx2.AsyncClient, clock: ManualClock) -> None:
        self._limen = limen
        self._http = http
        self._clock = clock
        self._numbers = count()
        self._emails: dict[tuple[str, str], list[str]] = {}

    async def run(self, rounds: int) -> Mapping[tuple[str, str], Sequence[float]]:
        calls = list(timed())
        await self._open_accounts(calls, rounds)
        times: dict[tuple[str, str], list[float]] = {call[:2]: [] for call in calls}
        for number in range(rounds):
            for call in random.sample(calls, len(calls)):
                times[call[:2]].append(await self._once(call, number))
            self._clock.tick(900)
        return times

    async def _once(self, call: Timed, number: int) -> float:
        """Return the milliseconds that a call took."""
        email = self._emails[call[:2]][number]
        if call.limited:
            await call.make(self._http, email)
        self._http.cookies.clear()
        began = time.perf_counter()
        answer = await call.make(self._http, email)
        took = (time.perf_counter() - began) * 1000
        assert answer.status_code in ({429} if call.limited else {202, 401}), answer.text
        await self._limen.features.outbox.work("request")
        await self._limen.features.outbox.work("mail")
        return took

    async def _open_accounts(self, calls: Iterable[Timed], rounds: int) -> None:
        features = self._limen.features
        current = await features.passwords.hash(PASSWORD)
        rows = []
        for call in calls:
            emails = [f"user{next(self._numbers)}@example.com" for _ in range(rounds)]
            self._emails[call[:2]] = emails
            if call.changes is not None:
                rows += [_row(email, current, call.changes) for email in emails]
        async with features.database.write() as connection:
            await connection.execute(insert(accounts), rows)
        features.passwords.learn([str(row["password_hash"]) for row in rows])
        for call in calls:
            if call.changes is None:
                self._emails[call[:2]] = self._of_nobody(call, rounds)

    def _of_nobody(self, call: Timed, rounds: int) -> list[str]:
        """Return addresses that are checked against the kind of hash that the class has."""
        passwords, wanted = self._limen.features.passwords, front_of(pbkdf2())
        found: list[str] = []
        while len(found) < rounds:
            email = f"user{next(self._numbers)}@example.com"
            if (front_of(passwords.stand_in(email)) == wanted) is call.like_imported:
                found.append(email)
        return found


def _row(email: str, current: str, changes: Changes) -> Mapping[str, object]:
    account = Account(
        user_id=secrets.token_hex(16),
        email=email,
        email_key=email,
        password_hash=current,
        cv=1,
        scope="",
        created_at=1,
        disabled_at=None,
    )
    return asdict(replace(account, **changes))


@contextmanager
def databases(directory: Path) -> Iterator[Mapping[str, str]]:
    """Give the URL of an empty database of each kind."""
    with a_server(durable=False) as server, Databases(server.url).migrated() as url:
        yield {"sqlite": f"sqlite:///{directory}/limen.db", "postgresql": url}


def table(rounds: int) -> bool:
    """Print a table for each database; return whether no class stood out."""
    held = True
    logging.getLogger("limen").addHandler(logging.NullHandler())
    with tempfile.TemporaryDirectory() as directory, databases(Path(directory)) as urls:
        for name, url in urls.items():
            rows = asyncio.run(measured(url, Path(directory) / name, rounds))
            print(f"\n{name}, in milliseconds, against addresses of nobody:\n")
            print("\n".join(lines(rows)))
            held &= all(row.held for row in rows)
    return held


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.timing")
    parser.add_argument("--rounds", type=int, default=200, help="samples of each class")
    return 0 if table(parser.parse_args().rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
