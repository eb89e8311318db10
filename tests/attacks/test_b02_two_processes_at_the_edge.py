"""B2, Keycloak #52646: at the edge of the window, two processes erased each other's failures.

Two limens on one database file share nothing but the file. At every moment, each of them is sent
some guesses at once, mostly around the end of a window, and together they must admit exactly what
an exact log admits.
"""

import asyncio
import random

import pytest

from limen.clients import Client
from limen.clock import SECOND
from limen.errors import InvalidCredentials, TooManyAttempts
from limen.limen import Limen
from tests.clock import ManualClock
from tests.exact_log import ExactLog
from tests.people import PASSWORD

pytestmark = pytest.mark.anyio

VICTIM = "victim@example.com"
WINDOW = 900
ROUNDS = 40


async def at_once(processes: tuple[Limen, Limen], guesses: int) -> tuple[int, int]:
    """Send so many wrong guesses to each process; return how many were admitted, and refused."""
    outcomes = await asyncio.gather(
        *(
            one.features.login.sign_in(VICTIM, "wrong password", Client(f"203.0.113.{number}"))
            for number in range(guesses)
            for one in processes
        ),
        return_exceptions=True,
    )
    kinds = [type(outcome) for outcome in outcomes]
    return kinds.count(InvalidCredentials), kinds.count(TooManyAttempts)


async def test_two_processes_together_admit_five(limen: Limen, twin: Limen) -> None:
    assert await at_once((limen, twin), guesses=30) == (5, 55)


async def test_no_failure_is_lost_at_the_edge_of_the_window(
    limen: Limen, twin: Limen, clock: ManualClock
) -> None:
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed: {seed}")
    chance = random.Random(seed)
    oracle = ExactLog(5, WINDOW)
    for _ in range(ROUNDS):
        clock.tick(chance.choice([0, 1 / SECOND, 1, 100, WINDOW - 1 / SECOND, WINDOW]))
        guesses = chance.randrange(1, 5)
        expected = 0
        while expected < 2 * guesses and oracle.admits(clock()):
            oracle.count(clock())
            expected += 1

        assert await at_once((limen, twin), guesses) == (expected, 2 * guesses - expected)


async def test_a_success_in_one_process_erases_no_failure_in_the_other(
    limen: Limen, twin: Limen, clock: ManualClock
) -> None:
    await limen.features.accounts.create(VICTIM, PASSWORD)
    for _ in range(10):
        clock.tick(WINDOW)
        for _ in range(2):
            _, (admitted, _) = await asyncio.gather(
                limen.features.login.sign_in(VICTIM, PASSWORD, Client("198.51.100.7")),
                at_once((limen, twin), guesses=1),
            )
            assert admitted == 2

        assert await at_once((limen, twin), guesses=3) == (1, 5)  # the fifth, and no sixth
