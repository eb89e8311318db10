"""B1: guesses sent at once slip past a limit that is counted afterwards.

GHSA-7h8m-vrxx-vr4m and CVE-2023-47111 (ZITADEL), CVE-2024-4629 (Keycloak), Better Auth PR #9993.
Here the slot is taken before the password is looked at. The hashing room is kept busy until the
crowd is in, so that no guess has been decided when the others arrive.
"""

import asyncio
from collections import Counter
from pathlib import Path

import httpx2
import pytest

from limen.events import Event, SignIn
from limen.limen import Limen
from limen.settings import Settings
from tests.crowds import hashes, occupied, until
from tests.people import PASSWORD, attempt, calling_from, guess
from tests.stored import slots_taken

pytestmark = pytest.mark.anyio

VICTIM = "victim@example.com"


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Patient, so that a slow machine does not answer 503 to the last of the crowd."""
    return Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        signing_algorithm="ES256",
        hash_queue_time=60,
    )


@pytest.mark.parametrize(
    ("guesses", "is_known"), [(1000, True), (200, False)], ids=["known", "unknown"]
)
async def test_exactly_five_of_a_thousand_simultaneous_guesses_reach_the_hash(
    limen: Limen, wire: httpx2.AsyncClient, happened: list[Event], guesses: int, *, is_known: bool
) -> None:
    if is_known:
        await limen.features.accounts.create(VICTIM, PASSWORD)
    room = limen.features.room
    async with occupied(room):
        crowd = [asyncio.create_task(guess(wire, VICTIM)) for _ in range(guesses)]
        await until(lambda: room.waiting == 5)
        happened.clear()
    statuses = Counter([(await one).status_code for one in crowd])

    reached = hashes(happened) - room._size  # less those who kept the room busy
    print(f"{guesses} simultaneous guesses: {reached} reached the hash, answers {dict(statuses)}")
    assert reached == 5
    assert statuses == {401: 5, 429: guesses - 5}
    signed_in = [event.outcome for event in happened if isinstance(event, SignIn)]
    assert signed_in.count("invalid_credentials") == 5
    assert (await slots_taken(limen)) == {"login": 5, "login-address": 5}


async def test_the_right_password_behind_the_first_five_is_not_looked_at(
    limen: Limen, stranger: httpx2.AsyncClient
) -> None:
    """A list of a hundred passwords, all sent at once."""
    await limen.features.accounts.create(VICTIM, PASSWORD)
    passwords = [f"guess number {number}" for number in range(99)]
    passwords.insert(7, PASSWORD)
    responses = await asyncio.gather(
        *(attempt(stranger, VICTIM, password) for password in passwords)
    )

    assert Counter(one.status_code for one in responses) == {401: 5, 429: 95}


async def test_an_attacker_with_many_addresses_has_five_guesses_all_the_same(
    limen: Limen, happened: list[Event]
) -> None:
    clients = [calling_from(limen, f"203.0.113.{number}") for number in range(60)]
    responses = await asyncio.gather(*(guess(client, VICTIM) for client in clients))

    assert Counter(one.status_code for one in responses) == {401: 5, 429: 55}
    assert hashes(happened) == 5
    for client in clients:
        await client.aclose()
