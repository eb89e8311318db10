"""What is updated all the time stays where it is: PostgreSQL's heap-only updates, counted."""

import random
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from sqlalchemy import create_engine

from limen.events import Events
from limen.limen import Limen
from limen.rate_limits import Policy, RateLimits
from limen.refresh import ROTATION
from limen.settings import Settings
from limen.tokens import digest, fid_digest
from tests.clock import ManualClock
from tests.conftest import on_postgresql
from tests.people import PASSWORD
from tests.running import running

pytestmark = [pytest.mark.anyio, on_postgresql]

HOT = """
    SELECT coalesce(sum(n_tup_upd), 0)::int, coalesce(sum(n_tup_hot_upd), 0)::int
    FROM pg_stat_user_tables WHERE relname = %s
"""


@dataclass
class Updates:
    """The updates of a table since this was made."""

    connection: psycopg.Connection[tuple[int, int]]
    table: str

    def __post_init__(self) -> None:
        self._all, self._hot = self._counted()

    def share_of_hot(self, expected: int) -> float:
        """Return the share of heap-only ones; what backends have counted arrives in the end."""
        deadline = time.monotonic() + 20
        while True:
            found, hot = self._counted()
            if found - self._all >= expected or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        assert found - self._all == expected
        share = (hot - self._hot) / expected
        print(f"\n{expected} updates of {self.table}, {share:.1%} of them heap-only")
        return share

    def _counted(self) -> tuple[int, int]:
        found = self.connection.execute(HOT, (self.table,)).fetchone()
        assert found is not None
        return found


@pytest.fixture
def beside(database_url: str) -> Iterator[psycopg.Connection[tuple[int, int]]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


async def signed_in(limen: Limen, number: int) -> list[str]:
    """Return the keys of the rows of so many new sessions of one account."""
    features = limen.features
    account = await features.accounts.create("ada@example.com", PASSWORD)
    keys = []
    async with features.database.write() as connection:
        for _ in range(number):
            session = features.sessions.start(
                connection, user_id=account.user_id, cv=account.cv, scope=""
            )
            keys.append(fid_digest(session.generation.fid))
    return keys


async def test_refreshes_stay_in_their_page_and_touch_no_index(
    settings: Settings, clock: ManualClock, beside: psycopg.Connection[tuple[int, int]]
) -> None:
    """The statement alone, a commit each: what stands around it takes longer and writes nothing."""
    chance = random.Random(seed := secrets.randbits(32))
    print(f"seed {seed}")
    async with running(settings, clock) as limen:
        keys = await signed_in(limen, 400)
    updates = Updates(beside, "sessions")
    rotation = ROTATION.compile(dialect=create_engine("postgresql+psycopg://").dialect)
    always = {**rotation.params, "issued_at": 0, "window": 0}
    for k in range(5):
        for number, fid in enumerate(chance.sample(keys, len(keys))):
            retry_key = digest(f"retry {number}") if number % 2 else None
            clock.tick(1)  # a column that keeps its value counts as one that was not touched
            refresh = {"fid": fid, "k": k, "key": retry_key, "now": clock()}
            done = beside.execute(str(rotation).encode(), {**always, **refresh})
            assert done.rowcount == 1

    assert updates.share_of_hot(2000) >= 0.95


async def test_attempts_stay_in_their_page_and_touch_no_index(
    settings: Settings, clock: ManualClock, beside: psycopg.Connection[tuple[int, int]]
) -> None:
    """Fifty accounts behind one address: a narrow row each, and a wide one that all share."""
    account, address = Policy("login", 5, 900), Policy("login-address", 51, 900)
    async with running(settings, clock) as limen:
        database = limen.features.database
        limits = RateLimits(database, key=b"k" * 32, patience=5, clock=clock, events=Events())
        here = limits.bucket(address, "198.51.100.7")
        people = [limits.bucket(account, f"p{number}@example.com") for number in range(50)]
        updates = Updates(beside, "rate_limits")
        for turn in range(3):
            for person in people:
                clock.tick(1)
                async with limits.attempt(person, here) as attempt:
                    if turn:  # a failure first, which stays in the row
                        async with database.write() as connection:
                            limits.give_back(connection, attempt)

    assert updates.share_of_hot(49 + 2 * 50 * 4) >= 0.95
