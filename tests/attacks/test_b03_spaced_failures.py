"""B3, Keycloak #46634: a counter that was not reset when failures came slowly.

The opposite mistake, a counter that is reset too early, gives more guesses. Neither happens: over
HTTP, an account admits exactly what an exact log of its failures admits, whatever their spacing.
"""

import random
from pathlib import Path

import httpx2
import pytest

from limen.clock import SECOND
from limen.limen import Limen
from limen.settings import Limit, Settings
from tests.clock import ManualClock
from tests.exact_log import ExactLog
from tests.people import PASSWORD, attempt, guess

pytestmark = pytest.mark.anyio

VICTIM = "victim@example.com"
WINDOW = 900
STEPS = 300
WAITS = [0, 1 / SECOND, 1, 60, 180, 300, WINDOW - 1 / SECOND, WINDOW, WINDOW + 1 / SECOND]


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """The address is no bound here: this is about the account."""
    return Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        signing_algorithm="ES256",
        login_address_limit=Limit(1000, 1),
    )


async def test_an_account_admits_exactly_what_an_exact_log_admits(
    limen: Limen, stranger: httpx2.AsyncClient, clock: ManualClock
) -> None:
    await limen.features.accounts.create(VICTIM, PASSWORD)
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed: {seed}")
    chance = random.Random(seed)
    oracle = ExactLog(5, WINDOW)
    for _ in range(STEPS):
        clock.tick(chance.choice(WAITS) if chance.random() < 0.5 else 0)
        stranger.cookies.clear()
        is_right = chance.random() < 0.2
        answer = await (attempt if is_right else guess)(stranger, VICTIM)

        if not oracle.admits(clock()):
            assert answer.status_code == 429
        elif is_right:
            assert answer.status_code == 200
        else:
            assert answer.status_code == 401
            oracle.count(clock())


async def test_failures_that_are_far_enough_apart_never_lock_an_account(
    stranger: httpx2.AsyncClient, clock: ManualClock
) -> None:
    for _ in range(30):
        assert (await guess(stranger, VICTIM)).status_code == 401
        clock.tick(WINDOW / 5)
