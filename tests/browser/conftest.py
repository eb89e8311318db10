"""A limen behind a bad network, and the programs that stand for its users."""

import os
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from limen import app as standalone
from limen.limen import Limen
from tests.browser.programs import missing
from tests.browser.weather import Network
from tests.clock import ManualClock
from tests.people import PASSWORD
from tests.serving import listening

HERE = Path(__file__).parent

# Where a program cannot be installed, its tests are left out, and the summary of the run says so.
collect_ignore = [*missing()]
SEED = "LIMEN_TEST_SEED"


class Person(NamedTuple):
    """Somebody who has an account and is not signed in."""

    email: str
    password: str = PASSWORD


@pytest.fixture
def database_url(migrated_sqlite_url: str) -> str:
    """What a browser does with answers does not depend on the database behind them."""
    return migrated_sqlite_url


@pytest.fixture
def seed() -> int:
    seed = int(os.environ.get(SEED) or random.randrange(10**9))
    print(f"seed {seed} ({SEED} repeats it)")
    return seed


@pytest.fixture
async def network(limen: Limen, clock: ManualClock, seed: int) -> AsyncIterator[Network]:
    """The only way to a limen that really listens."""
    page = (HERE / "page.html").read_bytes()
    async with listening(standalone.build(limen)) as url:
        port = int(url.rpartition(":")[2])
        async with Network(port, clock.tick, page, seed).running() as network:
            yield network


@pytest.fixture
async def person(limen: Limen) -> Person:
    person = Person("ada@example.com")
    await limen.features.accounts.create(person.email, person.password)
    return person
