"""PostgreSQL goes away under load and comes back: two `limen serve` wait for it, none is restarted.

While it is away, whoever needs it is told so at once (503). Nothing that was acknowledged is lost,
and no keyed client has to sign in again.
"""

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import pytest

from limen.database.migrate import migrate
from limen.settings import Settings
from tests.faults.figures import record
from tests.faults.ledger import Exchange
from tests.faults.load import KEPT, operator, two_processes, under_load, verdict
from tests.postgresql import PostgreSQLServer, a_server

pytestmark = pytest.mark.anyio

SEED = int(os.environ.get("LIMEN_TEST_SEED", secrets.randbelow(10**6)))

ENDS = (PostgreSQLServer.stop, PostgreSQLServer.kill, PostgreSQLServer.kill)
AWAY_SECONDS = 1.5
# What a request may wait for: a connection of the pool, connecting, a statement; on a busy machine.
SLOWEST_ANSWER = 2 * (3 + 3 + 5)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQLServer]:
    """A server that may be stopped, and that keeps what it has acknowledged."""
    with a_server() as server:
        migrate(server.url)
        yield server


async def test_a_postgresql_that_is_stopped_or_killed_under_load_costs_time_and_nothing_else(
    server: PostgreSQLServer, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    settings = Settings(
        data_dir=tmp_path / "operator",
        database_url=server.url,
        signing_algorithm="ES256",
        secret=(secrets.token_urlsafe(32),),
    )
    away: list[Exchange] = []
    back: list[float] = []
    with two_processes(settings, tmp_path) as servers:
        urls = [one.url for one in servers]
        async with operator(settings) as features:
            async with under_load(urls, features, keyed=6, bare=2, seed=SEED) as crowd:
                for end in ENDS:
                    await asyncio.sleep(1)
                    began = time.monotonic()
                    await asyncio.to_thread(end, server)
                    await asyncio.sleep(AWAY_SECONDS)
                    away += crowd.ledger.answers(503, since=began)
                    await asyncio.to_thread(server.start)
                    back.append(await crowd.is_served())
            found = await verdict(crowd)
    record(record_property, "PostgreSQL stopped or killed", len(ENDS), crowd, found)
    refused, slowest = sorted(one.took for one in away), max(e.took for e in crowd.ledger.exchanges)
    print(
        f"seed {SEED}: PostgreSQL ended {len(ENDS)} times, {len(away)} x 503 meanwhile, after "
        f"{1000 * median(refused):.0f} ms (median), at worst {refused[-1]:.1f} s; slowest of all "
        f"answers {slowest:.1f} s; everybody served {max(back):.1f} s after the server; "
        f"{crowd.ledger.figures()}"
    )

    assert found == KEPT
    assert {one.status for one in crowd.ledger.exchanges} <= {200, 204, 401, 503}
    assert slowest < SLOWEST_ANSWER
