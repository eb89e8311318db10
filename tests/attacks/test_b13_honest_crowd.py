"""B13, Keycloak #44474 and #48272: honest sign-ins that came together were counted as failures."""

import asyncio
from collections import Counter
from pathlib import Path

import httpx2
import pytest

from limen.database.schema import sessions
from limen.limen import Limen
from limen.settings import Settings
from tests.crowds import occupied, until
from tests.people import PASSWORD, attempt, guess
from tests.stored import rows, slots_taken

pytestmark = pytest.mark.anyio

ADA = "ada@example.com"


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Patient, for a slow machine."""
    return Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        signing_algorithm="ES256",
        hash_queue_time=60,
    )


async def test_twenty_simultaneous_correct_sign_ins_all_succeed(
    limen: Limen, wire: httpx2.AsyncClient
) -> None:
    await limen.features.accounts.create(ADA, PASSWORD)
    async with occupied(limen.features.room):
        crowd = [asyncio.create_task(attempt(wire, ADA)) for _ in range(20)]
        await until(lambda: limen.features.room.waiting == 5)
    responses = [await one for one in crowd]

    assert Counter(one.status_code for one in responses) == {200: 20}
    assert len({one.json()["refresh_token"] for one in responses}) == 20
    assert len(await rows(limen, sessions)) == 20
    assert sum((await slots_taken(limen)).values()) == 0


async def test_they_succeed_beside_a_failure_too(limen: Limen, wire: httpx2.AsyncClient) -> None:
    """Four slots are free and five may be in flight: whoever finds none waits for the others."""
    await limen.features.accounts.create(ADA, PASSWORD)
    await guess(wire, ADA)
    async with occupied(limen.features.room):
        crowd = [asyncio.create_task(attempt(wire, ADA)) for _ in range(20)]
        await until(lambda: limen.features.room.waiting == 4)
    responses = [await one for one in crowd]

    assert Counter(one.status_code for one in responses) == {200: 20}
    assert await slots_taken(limen) == {"login": 1, "login-address": 1}
