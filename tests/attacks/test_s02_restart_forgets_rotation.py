"""S2, Keycloak CVE-2026-9802: a restart forgot which refresh tokens were used."""

import pytest

from limen.settings import Settings
from tests.clock import ManualClock
from tests.people import calling_from, somebody
from tests.running import running

pytestmark = pytest.mark.anyio

KEY = "retry-key-of-ada"


@pytest.mark.parametrize("generations", [1, 3])
async def test_a_replay_after_a_restart_is_still_a_replay(
    settings: Settings, clock: ManualClock, generations: int
) -> None:
    async with running(settings, clock) as limen, calling_from(limen, "127.0.0.1") as http:
        ada = await somebody(limen, http)
        stolen = ada.tokens["refresh_token"]
        for _ in range(generations):
            await ada.refresh()

    async with running(settings, clock) as limen, calling_from(limen, "127.0.0.1") as http:
        ada.http = http
        newest = ada.tokens["refresh_token"]

        assert (await ada.me()).status_code == 200
        assert (await ada.refresh(stolen)).status_code == 401
        assert (await ada.refresh(newest)).status_code == 401
        assert (await ada.me()).status_code == 401


async def test_an_honest_retry_after_a_restart_is_still_an_honest_retry(
    settings: Settings, clock: ManualClock
) -> None:
    async with running(settings, clock) as limen, calling_from(limen, "127.0.0.1") as http:
        ada = await somebody(limen, http)
        token = ada.tokens["refresh_token"]
        lost = (await ada.refresh(token, KEY)).json()["refresh_token"]

    clock.tick(3600)
    async with running(settings, clock) as limen, calling_from(limen, "127.0.0.1") as http:
        ada.http = http

        assert (await ada.refresh(token, KEY)).json()["refresh_token"] == lost
