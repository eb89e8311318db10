"""S6, django-oauth-toolkit #1617: the grace let tokens several generations old pass."""

from dataclasses import replace

import pytest

from limen.settings import Settings
from tests.clock import ManualClock
from tests.people import Person, calling_from, somebody
from tests.running import running

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("behind", "status"), [(1, 200), (2, 401), (3, 401), (5, 401)])
async def test_the_grace_is_for_the_last_predecessor_alone(
    settings: Settings, clock: ManualClock, behind: int, status: int
) -> None:
    async with (
        running(replace(settings, refresh_reuse_grace=60), clock) as limen,
        calling_from(limen, "127.0.0.1") as http,
    ):
        ada = await somebody(limen, http)
        tokens = [ada.tokens["refresh_token"]]
        for _ in range(5):
            clock.tick(61)
            await ada.refresh()
            tokens.append(ada.tokens["refresh_token"])

        assert (await ada.refresh(tokens[-1 - behind])).status_code == status
        assert (await ada.me()).status_code == status


@pytest.mark.parametrize("behind", [2, 3, 5])
async def test_nor_does_a_retry_key_revive_an_older_one(
    ada: Person, clock: ManualClock, behind: int
) -> None:
    key = "one-key-for-all-of-them"
    tokens = [ada.tokens["refresh_token"]]
    for _ in range(5):
        clock.tick(61)
        await ada.refresh(key=key)
        tokens.append(ada.tokens["refresh_token"])

    assert (await ada.refresh(tokens[-1 - behind], key)).status_code == 401
    assert (await ada.me()).status_code == 401
