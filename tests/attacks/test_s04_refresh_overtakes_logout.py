"""S4, Keycloak #51312: a refresh that started after a logout was acknowledged still succeeded."""

import asyncio
import random
from time import perf_counter

import pytest

from limen.limen import Limen
from limen.settings import Settings
from tests.clock import ManualClock
from tests.people import Person, calling_from
from tests.running import running

pytestmark = pytest.mark.anyio

RACES = 60


async def refresh_until_refused(person: Person) -> list[float]:
    """Refresh as fast as possible; return when the successful refreshes started."""
    started: list[float] = []
    while True:
        now = perf_counter()
        if (await person.refresh()).status_code != 200:
            return started
        started.append(now)


async def log_out(person: Person, after: float) -> float:
    """Sign out in a while; return when it was acknowledged."""
    await asyncio.sleep(after)
    assert (await person.log_out()).status_code == 204
    return perf_counter()


async def test_no_refresh_overtakes_an_acknowledged_logout_at_any_worker(
    ada: Person, settings: Settings, clock: ManualClock
) -> None:
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    overtaken, succeeded = 0, 0
    async with running(settings, clock) as other, calling_from(other, "127.0.0.1") as there:
        for _ in range(RACES):
            await ada.sign_in()
            elsewhere = Person(there, ada.email, ada.user_id, tokens=ada.tokens)
            acknowledged, started = await asyncio.gather(
                log_out(ada, dice.random() * 0.02), refresh_until_refused(elsewhere)
            )
            overtaken += sum(moment > acknowledged for moment in started)
            succeeded += len(started)

    print(f"\n{RACES} races (seed {seed}): {succeeded} refreshes before, {overtaken} after logout")
    assert succeeded > RACES  # there were races
    assert overtaken == 0


async def test_the_access_token_of_a_refresh_that_came_first_ends_as_well(
    limen: Limen, ada: Person
) -> None:
    before = ada.tokens
    refreshed, _ = await asyncio.gather(
        ada.refresh(),
        limen.features.logout.sign_out(refresh_token=None, access_token=before["access_token"]),
    )

    for pair in [before] + ([refreshed.json()] if refreshed.status_code == 200 else []):
        assert (await ada.me(pair["access_token"])).status_code == 401
