"""A session ended through one worker is refused by another: soon, also after it was cut off.

The other worker is an application that mounts limen and has a guarded route of its own, which
asks no database, so that nothing but the guard decides.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import insert, update

from limen.clock import SECOND
from limen.database.address import sqlite_path
from limen.database.schema import revocation_counter, revocations
from limen.limen import Limen
from limen.memory import FOLLOW_SECONDS
from limen.settings import Settings
from limen.verify.revocations import BOUND_SECONDS, subject_digest
from tests.clock import ManualClock
from tests.conftest import on_postgresql
from tests.crowds import until
from tests.people import Person, calling_from, somebody
from tests.relay import Relay
from tests.running import running
from tests.serving import listening

pytestmark = pytest.mark.anyio

SESSIONS = 30
HAMMERS = 4


@asynccontextmanager
async def guarded(limen: Limen) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application that really listens, with a route for whoever may come in."""
    app = FastAPI()
    limen.guard(app)

    @app.get("/door")
    async def door() -> str:
        return "open"

    async with (
        listening(app) as url,
        httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False) as client,
    ):
        yield client


async def knock(http: httpx2.AsyncClient, person: Person) -> int:
    return (await http.get("/door", headers=person.bearer())).status_code


async def until_refused(http: httpx2.AsyncClient, person: Person) -> float:
    """Knock until refused; return when somebody was last let in."""
    last = 0.0
    while (status := await knock(http, person)) == 200:
        last = time.monotonic()
    assert status == 401
    return last


async def test_a_session_ended_in_one_worker_is_soon_refused_by_another_under_a_hammer(
    limen: Limen, twin: Limen, http: httpx2.AsyncClient
) -> None:
    taken = []
    async with guarded(twin) as there:
        for number in range(SESSIONS):
            person = await somebody(limen, http, f"p{number}@example.com")
            assert await knock(there, person) == 200
            hammers = [asyncio.create_task(until_refused(there, person)) for _ in range(HAMMERS)]
            await asyncio.sleep(0.01)
            assert (await person.log_out()).status_code == 204
            ended = time.monotonic()
            taken.append(max(0.0, *[last - ended for last in await asyncio.gather(*hammers)]))

    worst, median = max(taken), statistics.median(taken)
    print(f"last let in after the end: median {median * 1000:.0f} ms, worst {worst * 1000:.0f} ms")
    assert worst < BOUND_SECONDS
    assert median < FOLLOW_SECONDS / 2  # by a hint, long before the next pull


class Line(Protocol):
    """One worker's own way to the database, which can be cut without any other noticing."""

    settings: Settings

    def cut(self) -> AbstractContextManager[None]: ...


class Link:
    """To a SQLite file: by a symbolic link."""

    def __init__(self, settings: Settings, file: Path) -> None:
        self._file, self._link = file, file.with_name("link.db")
        self._link.symlink_to(file)
        self.settings = replace(settings, database_url=f"sqlite:///{self._link}")

    @contextmanager
    def cut(self) -> Iterator[None]:
        self._link.unlink()
        yield
        self._link.symlink_to(self._file)


class Wire:
    """To PostgreSQL: through a relay, which when cut keeps what it gets and says nothing."""

    def __init__(self, settings: Settings, relay: Relay) -> None:
        self._relay = relay
        url = httpx2.URL(settings.database_url).copy_with(port=relay.port)
        self.settings = replace(settings, database_url=str(url))

    @contextmanager
    def cut(self) -> Iterator[None]:
        self._relay.open.clear()
        yield
        self._relay.open.set()


@asynccontextmanager
async def own_line(settings: Settings) -> AsyncIterator[Line]:
    file = sqlite_path(settings.database_url)
    if file is not None:
        yield Link(settings, file)
        return
    port = httpx2.URL(settings.database_url).port
    assert port is not None
    async with Relay(port).running() as relay:
        yield Wire(settings, relay)


async def test_a_worker_cut_off_goes_on_until_the_bound_then_says_503_and_catches_up(
    limen: Limen, http: httpx2.AsyncClient, clock: ManualClock
) -> None:
    gone = await somebody(limen, http, "gone@example.com")
    stays = await somebody(limen, http, "stays@example.com")
    seen: list[tuple[float, int, float]] = []
    async with (
        own_line(limen.settings) as line,
        running(line.settings, clock) as cut_off,
        guarded(cut_off) as there,
    ):
        with line.cut():
            began = time.monotonic()
            await gone.log_out()
            while not seen or seen[-1][1] == 200:
                asked = time.monotonic()
                status = await knock(there, gone)
                seen.append((time.monotonic() - began, status, time.monotonic() - asked))
                await asyncio.sleep(0.05)
            others = [await knock(there, stays) for _ in range(20)]
        healed = time.monotonic()
        while (status := await knock(there, stays)) == 503:
            assert await knock(there, gone) in {401, 503}  # never let in again, not for a moment
        caught_up = time.monotonic() - healed

        assert status == 200
        assert await knock(there, gone) == 401
    until_503, slowest = seen[-1][0], max(took for *_, took in seen)
    print(
        f"cut off: 200 for {until_503:.1f} s, then 503; caught up {caught_up * 1000:.0f} ms after "
        f"it healed; slowest answer {slowest * 1000:.0f} ms"
    )
    assert [status for _, status, _ in seen] == [200] * (len(seen) - 1) + [503]
    assert BOUND_SECONDS - 2 < until_503 < BOUND_SECONDS + 2
    assert set(others) == {503}


@on_postgresql
async def test_a_lower_number_that_is_committed_late_is_not_missed(
    limen: Limen, twin: Limen, ada: Person, clock: ManualClock
) -> None:
    """Whoever counts keeps the counter until he commits: a later number cannot overtake."""
    eve = await somebody(limen, ada.http, "eve@example.com")
    sid = limen.verifier.authenticate(ada.tokens["access_token"]).sid
    async with limen.features.database.write() as slow:
        counted = update(revocation_counter).values(seq=revocation_counter.c.seq + 1)
        lower = (await slow.execute(counted.returning(revocation_counter.c.seq))).scalar_one()
        row = {"kind": "session", "subject": subject_digest(sid), "value": 0}
        expires_at = clock() // SECOND + 3600
        await slow.execute(insert(revocations).values(seq=lower, expires_at=expires_at, **row))
        overtaking = asyncio.create_task(twin.features.accounts.disable(eve.user_id))
        for _ in range(5):
            await asyncio.sleep(0.05)
            await twin.features.following.catch_up()
        assert not overtaking.done()
        assert twin.features.log.seq == lower - 1
    await overtaking
    await twin.features.following.catch_up()

    log = twin.features.log.newer(lower - 1, 10)
    assert [(entry.seq, entry.revocation.kind) for entry in log] == [
        (lower, "session"),
        (lower + 1, "account"),
    ]
    async with calling_from(twin, "127.0.0.1") as there:
        for person in (ada, eve):
            person.http = there
            assert (await person.me()).status_code == 401
    await until(lambda: limen.features.log.seq == lower + 1)
