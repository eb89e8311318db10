"""B12: an attacker signs in to an account of his own between guesses, to reset the count.

A success gives back its own slot and no other, neither the victim's nor the address's.
"""

from pathlib import Path

import httpx2
import pytest

from limen.events import Event
from limen.limen import Limen
from limen.settings import Limit, Settings
from tests.crowds import hashes
from tests.people import attempt, guess, somebody

pytestmark = pytest.mark.anyio

VICTIM = "victim@example.com"


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        signing_algorithm="ES256",
        login_address_limit=Limit(8, 900),
    )


async def test_the_victims_attempts_are_used_up_all_the_same(
    limen: Limen, http: httpx2.AsyncClient, stranger: httpx2.AsyncClient, happened: list[Event]
) -> None:
    await somebody(limen, http, VICTIM)
    eve = await somebody(limen, stranger, "eve@example.com")
    happened.clear()
    statuses = []
    for _ in range(7):
        statuses.append((await guess(stranger, VICTIM)).status_code)
        assert (await eve.sign_in()).status_code == 200

    assert statuses == [401] * 5 + [429] * 2
    assert hashes(happened) == 5 + 7


async def test_the_addresss_attempts_are_used_up_all_the_same(
    limen: Limen, stranger: httpx2.AsyncClient
) -> None:
    eve = await somebody(limen, stranger, "eve@example.com")
    statuses = []
    for number in range(10):
        statuses.append((await guess(stranger, f"user{number}@example.com")).status_code)
        await eve.sign_in()

    assert statuses == [401] * 8 + [429] * 2


async def test_the_owners_own_success_does_not_clear_the_strangers_failures(
    limen: Limen, http: httpx2.AsyncClient, stranger: httpx2.AsyncClient
) -> None:
    victim = await somebody(limen, http, VICTIM)
    for _ in range(3):
        await guess(stranger, VICTIM)
        victim.http.cookies.clear()
        await victim.sign_in()

    assert [(await guess(stranger, VICTIM)).status_code for _ in range(3)] == [401, 401, 429]
    assert (await attempt(stranger, VICTIM)).status_code == 429
