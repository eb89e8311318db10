"""S1, Keycloak CVE-2026-1035: simultaneous refreshes of one token forked the session.

Checking first and writing afterwards lets two requests see the same unused token. Here two
workers share the file and are asked at once.
"""

import asyncio
from collections import Counter

import pytest

from limen.database.schema import sessions
from limen.errors import InvalidRefreshToken, RefreshSuperseded
from limen.limen import Limen
from limen.settings import Settings
from tests.clock import ManualClock
from tests.people import Person
from tests.running import running
from tests.stored import rows

pytestmark = pytest.mark.anyio

AT_ONCE = 100


async def outcome(limen: Limen, token: str, key: str | None) -> str:
    try:
        return (await limen.features.refresh.rotate(token, key)).refresh_token
    except (InvalidRefreshToken, RefreshSuperseded) as refusal:
        return refusal.code


@pytest.mark.parametrize(
    ("keyed", "refusal"), [(False, "invalid_refresh_token"), (True, "refresh_superseded")]
)
async def test_one_of_many_refreshes_at_two_workers_succeeds(
    limen: Limen, ada: Person, settings: Settings, clock: ManualClock, *, keyed: bool, refusal: str
) -> None:
    token = ada.tokens["refresh_token"]
    async with running(settings, clock) as other:
        outcomes = await asyncio.gather(
            *(
                outcome(worker, token, f"key-of-a-tab-{number:03}" if keyed else None)
                for number, worker in enumerate([limen, other] * (AT_ONCE // 2))
            )
        )

    (row,) = await rows(limen, sessions)
    refused = Counter(outcomes)[refusal]
    print(
        f"\n{AT_ONCE} refreshes at two workers: {AT_ONCE - refused} succeeded, {refused} {refusal}"
    )
    assert refused == AT_ONCE - 1
    assert row.gen == 1
    assert (row.ended_at is None) == keyed
