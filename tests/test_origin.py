"""Where a change comes from is known to whatever is done meanwhile, and to nothing else."""

import asyncio

import pytest

from limen import origin
from limen.origin import Origin, coming_from, identify, present

pytestmark = pytest.mark.anyio

SOMEBODY = Origin("anonymous", address="192.0.2.1", agent="Firefox")


def test_a_program_is_the_origin_where_nobody_said_otherwise() -> None:
    assert present() == origin.PROGRAM


def test_the_origin_holds_within_the_block_and_no_longer() -> None:
    with coming_from(SOMEBODY):
        assert present() == SOMEBODY
        with coming_from(origin.LIMEN):
            assert present() == origin.LIMEN
        assert present() == SOMEBODY
    assert present() == origin.PROGRAM


def test_whose_request_it_is_is_forgotten_with_the_request() -> None:
    with coming_from(SOMEBODY):
        identify("u1")
        assert present() == Origin("account", "u1", "192.0.2.1", "Firefox")
    assert present() == origin.PROGRAM


async def test_requests_at_once_have_their_own() -> None:
    seen = []

    async def request(user_id: str) -> None:
        with coming_from(SOMEBODY):
            identify(user_id)
            await asyncio.sleep(0)
            seen.append((user_id, present().user_id))

    await asyncio.gather(*(request(f"u{number}") for number in range(20)))

    assert all(user_id == found for user_id, found in seen)


def test_addresses_and_agents_are_not_shown() -> None:
    assert "192.0.2.1" not in repr(SOMEBODY)
    assert "Firefox" not in repr(SOMEBODY)
