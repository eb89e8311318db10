"""kill -9 of one worker after the other, at random moments, while people use the others.

`LIMEN_TEST_KILLS` says how often, `LIMEN_TEST_SEED` repeats who is killed when and who does what,
as far as the machine lets it.
"""

import asyncio
import copy
import os
import random
import secrets
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import select

from limen.database.address import sqlite_path
from limen.database.schema import rate_limits, revocation_counter, revocations
from limen.errors import DatabaseUnavailable
from limen.features import Features
from limen.settings import Settings
from tests.conftest import CHEAPEST
from tests.faults.figures import record
from tests.faults.kills import AtTheWorkers, Workers, workers
from tests.faults.load import KEPT, SETTINGS, operator, under_load, verdict

pytestmark = pytest.mark.anyio

KILLS = int(os.environ.get("LIMEN_TEST_KILLS", "200"))
SEED = int(os.environ.get("LIMEN_TEST_SEED", secrets.randbelow(10**6)))

WORKERS = 3
PAUSE = 0.02  # between two kills, in seconds, on average
LOOK_PAUSE = 0.02  # between two looks at the log

# Many people, so that always somebody's request is on its way, and more endings than they would
# choose: it is the acknowledged end that must not be lost.
KEYED, BARE = 10, 2
DEEDS = {"refresh": 60, "look": 10, "sign out": 20, "change password": 5, "disable": 5}

# To the hurried clock of the workers a day is five minutes. No access token should expire before it
# is asked about: its refusal would show nothing. In a longer run that of its refresh token does.
LIFETIMES = {
    "LIMEN_ACCESS_TOKEN_LIFETIME": "24h",
    "LIMEN_REFRESH_TOKEN_LIFETIME": "365d",
    "LIMEN_SESSION_LIFETIME": "730d",
}


async def test_no_kill_loses_what_was_acknowledged_or_signs_a_keyed_client_out(
    database_url: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    variables = {
        "LIMEN_DATA_DIR": str(tmp_path / "data"),
        "LIMEN_DATABASE_URL": database_url,
        "LIMEN_SIGNING_ALGORITHM": "ES256",
        **SETTINGS,
        **LIFETIMES,
    }
    async with (
        operator(Settings.from_environment(variables), CHEAPEST) as features,
        workers(WORKERS, variables, tmp_path / "log") as killed,
        httpx2.AsyncClient() as http,
    ):
        remote = copy.copy(features)
        remote.accounts = AtTheWorkers(killed.url, features, http)
        async with (
            watched_log(features) as log,
            under_load(
                [killed.url], remote, seed=SEED, keyed=KEYED, bare=BARE, deeds=DEEDS
            ) as crowd,
        ):
            await kill(killed, KILLS, random.Random(SEED))
        await killed.start_anew(1)
        saw = killed.saw.copy()  # the verdict replays
        found = await verdict(crowd)
        slots = await slots_left(features)

    record(record_property, "kill -9 of a worker", killed.killed, crowd, found)
    print(
        f"seed {SEED}: {killed.killed} kills, {len(crowd.ledger.answers(0))} requests broken, "
        f"{saw['same_successor']} answered only when they were retried, "
        f"{slots} slots of limits left taken; log of {log.seq}; {crowd.ledger.figures()}"
    )
    assert found == KEPT
    assert log.gaps == []
    assert saw["replayed"] <= crowd.ledger.anew
    assert is_whole(database_url)
    assert len(crowd.ledger.answers(0)) > KILLS / 10  # there was load
    assert len(crowd.ledger.endings) > KILLS / 2


@dataclass(slots=True)
class Log:
    """The revocation log as it was seen to grow: its last `seq`, and where one was missing."""

    seq: int = 0
    gaps: list[str] = field(default_factory=list)


@asynccontextmanager
async def watched_log(features: Features) -> AsyncIterator[Log]:
    """Look at the log again and again: whatever was committed later must have a higher `seq`."""
    log = Log()
    looking = asyncio.create_task(_look_again_and_again(features, log))
    try:
        yield log
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
    await _look(features, log)


async def kill(killed: Workers, times: int, dice: random.Random) -> None:
    for _ in range(times):
        await killed.all_answer()
        await asyncio.sleep(dice.uniform(0, 2 * PAUSE))
        await killed.kill_one(dice)


async def slots_left(features: Features) -> int:
    """Count the slots of accounts and devices that attempts took and never gave back."""
    query = select(rate_limits.c.stamps).where(~rate_limits.c.bucket.startswith("login-address"))
    async with features.database.read() as connection:
        return sum(stamps.count(";") for stamps in (await connection.execute(query)).scalars())


def is_whole(database_url: str) -> bool:
    """Whether a SQLite file is well-formed. PostgreSQL was not what was killed."""
    path = sqlite_path(database_url)
    if path is None:
        return True
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def _look_again_and_again(features: Features, log: Log) -> None:
    while True:
        with suppress(DatabaseUnavailable):  # too busy, perhaps; the next look sees it all
            await _look(features, log)
        await asyncio.sleep(LOOK_PAUSE)


async def _look(features: Features, log: Log) -> None:
    """Note what is new. The counter is read first: what it counted is committed by then."""
    newer = select(revocations.c.seq).where(revocations.c.seq > log.seq).order_by(revocations.c.seq)
    async with features.database.read() as connection:
        counted = (await connection.execute(select(revocation_counter.c.seq))).scalar_one()
        found = (await connection.execute(newer)).scalars().all()
    if [*found] != [*range(log.seq + 1, log.seq + 1 + len(found))] or log.seq + len(
        found
    ) < counted:
        log.gaps.append(f"{found} after {log.seq}, with {counted} counted")
    log.seq = max(log.seq, counted, *found)
