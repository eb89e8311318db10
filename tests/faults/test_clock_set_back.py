"""A clock that steps back ten minutes, or runs ten minutes behind that of another worker.

Nothing is admitted that was refused before: no sixth guess, no used refresh token, no ended
session, no key that was given up. What lives by the clock lives by the clock: a token that has
only expired is good again for as long as the clock says so, and one that is from the future is
refused until it has come.
"""

import os
import random
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from limen.clock import SECOND
from limen.database.schema import sessions
from limen.events import Event
from limen.limen import Limen
from tests.clock import ManualClock
from tests.crowds import hashes
from tests.people import Person, calling_from, guess
from tests.running import running
from tests.stored import rows

pytestmark = pytest.mark.anyio

TEN_MINUTES, WINDOW, LIFETIME = 600, 900, 1800
VICTIM = "victim@example.com"


@pytest.fixture
async def behind(limen: Limen, clock: ManualClock, happened: list[Event]) -> AsyncIterator[Limen]:
    """Another worker, whose clock is ten minutes behind and stands there."""
    late = ManualClock()
    late.now = clock() - TEN_MINUTES * SECOND
    async with running(limen.settings, late, happened.append) as behind:
        yield behind


async def guesses(limen: Limen, number: int) -> list[int]:
    async with calling_from(limen, "203.0.113.7") as attacker:
        return [(await guess(attacker, VICTIM)).status_code for _ in range(number)]


async def test_a_full_limit_stays_full(
    limen: Limen, clock: ManualClock, happened: list[Event]
) -> None:
    assert await guesses(limen, 5) == [401] * 5
    for back in (TEN_MINUTES, 1, TEN_MINUTES):
        clock.tick(-back)
        assert await guesses(limen, 5) == [429] * 5

    assert hashes(happened) == 5


async def test_a_limit_is_one_for_workers_whose_clocks_differ(
    limen: Limen, behind: Limen, happened: list[Event]
) -> None:
    answers = [(await guesses(one, 1))[0] for _ in range(10) for one in (limen, behind)]

    assert Counter(answers) == {401: 5, 429: 15}
    assert hashes(happened) == 5


async def test_however_often_it_steps_back_no_window_has_a_sixth_guess(
    limen: Limen, clock: ManualClock
) -> None:
    """Measured by the time that has really passed, which only goes on."""
    seed = int(os.environ.get("LIMEN_TEST_SEED", random.SystemRandom().getrandbits(32)))
    chance = random.Random(seed)
    admitted: list[float] = []
    passed = 0.0
    while len(admitted) < 30:
        seconds = chance.choice([0.0, 1.0, 100.0, 300.0, WINDOW - 1.0])
        passed += seconds
        clock.tick(seconds - chance.choice([0, 0, 0, TEN_MINUTES]))
        admitted += [passed] * (await guesses(limen, 2)).count(401)

    closest = min(sixth - first for first, sixth in zip(admitted, admitted[5:], strict=False))
    print(f"seed: {seed}; six guesses took {closest:.0f} seconds at least")
    assert WINDOW <= closest < 10 * WINDOW


@pytest.mark.parametrize("passed", [0, 1, 60, 590, TEN_MINUTES, 610, 660, 1200])
@pytest.mark.parametrize("key", [None, "retry-key-of-a-thief"], ids=["bare", "keyed"])
async def test_a_replay_stays_a_replay(
    limen: Limen, ada: Person, clock: ManualClock, passed: int, key: str | None
) -> None:
    """Within a minute of the moment it was used at, a keyed one gets 409, and no token either."""
    used = ada.tokens["refresh_token"]
    await ada.refresh()
    clock.tick(passed - TEN_MINUTES)
    answer = await ada.refresh(used, key)

    just_now = key is not None and abs(passed - TEN_MINUTES) < 60
    assert answer.status_code == (409 if just_now else 401)
    assert "refresh_token" not in answer.json()
    (row,) = await rows(limen, sessions)
    assert (row.gen, row.end_reason) == (1, None if just_now else "replay")


async def test_a_generation_never_decreases_and_an_honest_client_gets_on(
    limen: Limen, ada: Person, clock: ManualClock
) -> None:
    generations = []
    for number in range(12):
        if number % 4 == 3:
            clock.tick(-TEN_MINUTES)
        sent, key = ada.tokens["refresh_token"], f"retry-key-number-{number:03}"
        assert (await ada.refresh(sent, key)).status_code == 200
        first = ada.tokens["refresh_token"]
        assert (await ada.refresh(sent, key)).status_code == 200
        assert ada.tokens["refresh_token"] == first
        assert (await ada.me()).status_code == 200
        generations.append((await rows(limen, sessions))[0].gen)
        clock.tick(61)

    assert generations == list(range(1, 13))


@pytest.mark.parametrize("lived", [0, LIFETIME - 1, LIFETIME + 61, LIFETIME + 300])
async def test_an_ended_session_is_not_resurrected(
    limen: Limen, ada: Person, clock: ManualClock, lived: int
) -> None:
    """Not even where its access token had expired, and its revocation was forgotten with it."""
    await ada.log_out()
    clock.tick(lived)
    await limen.features.keep_house()
    clock.tick(-TEN_MINUTES)
    await limen.features.keep_house()

    assert (await ada.me()).status_code == 401
    assert (await ada.refresh()).status_code == 401
    async with running(limen.settings, clock) as restarted:
        ada.http = calling_from(restarted, "198.51.100.7")
        assert (await ada.me()).status_code == 401


async def test_a_key_that_was_given_up_is_not_taken_back(
    limen: Limen, ada: Person, clock: ManualClock
) -> None:
    leaked = limen.features.memory.ring.signing.kid
    clock.tick(1)
    await limen.features.keys.rotate(emergency=True)
    limen.features.memory.ring.replace(await limen.features.keys.load())
    clock.tick(-TEN_MINUTES)

    assert limen.features.memory.ring.find(leaked) is None
    assert limen.features.memory.ring.signing.kid != leaked
    assert (await ada.me()).status_code == 401
    assert (await ada.refresh()).status_code == 200


async def test_a_token_lives_by_the_clock(ada: Person, clock: ManualClock) -> None:
    """One that had only expired is good until the clock says so again: no longer than it was."""
    clock.tick(LIFETIME)
    assert (await ada.me()).status_code == 401
    clock.tick(-TEN_MINUTES)
    assert (await ada.me()).status_code == 200
    clock.tick(TEN_MINUTES)
    assert (await ada.me()).status_code == 401


async def test_a_token_from_the_future_waits_for_it(ada: Person, clock: ManualClock) -> None:
    clock.tick(-TEN_MINUTES)
    assert (await ada.me()).status_code == 401
    assert (await ada.refresh(key="retry-key-of-ada")).status_code == 200
    assert (await ada.me()).status_code == 200
