"""S3, Keycloak #50999: within one second, a used token looked as new as its successor.

A generation is counted, not timed, so the clock has no say.
"""

import pytest

from limen.clock import SECOND
from tests.clock import ManualClock
from tests.people import Person

pytestmark = pytest.mark.anyio

ROTATIONS = 5


@pytest.mark.parametrize("replayed", range(ROTATIONS))
async def test_of_five_rotations_within_one_second_none_can_be_replayed(
    ada: Person, clock: ManualClock, replayed: int
) -> None:
    clock.now -= clock.now % SECOND
    tokens = [ada.tokens["refresh_token"]]
    for _ in range(ROTATIONS):
        clock.tick(0.1)
        assert (await ada.refresh()).status_code == 200
        tokens.append(ada.tokens["refresh_token"])

    assert len(set(tokens)) == ROTATIONS + 1
    assert (await ada.refresh(tokens[replayed])).status_code == 401
    assert (await ada.refresh(tokens[-1])).status_code == 401


async def test_nor_while_the_clock_stands_still(ada: Person) -> None:
    used = ada.tokens["refresh_token"]
    await ada.refresh()

    assert (await ada.refresh(used)).status_code == 401
