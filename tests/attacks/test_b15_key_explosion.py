"""B15: a flood of invented accounts and addresses fills the limiter's memory.

A bucket is a row of about a hundred bytes, gone with the first sweep after its window; in memory,
there is only what is in flight.
"""

import asyncio
import random
from ipaddress import IPv4Address, IPv6Address

import httpx2
import pytest

from limen.clients import bucket
from limen.clock import SECOND
from limen.database.schema import rate_limits
from limen.limen import Limen
from limen.rate_limits import Policy, RateLimits
from tests.clock import ManualClock
from tests.people import guess
from tests.stored import rows

pytestmark = pytest.mark.anyio

POLICY = Policy("login-address", 50, 900)
FLOOD = 10_000
TOGETHER = 200


async def test_ten_thousand_addresses_leave_rows_that_the_sweep_removes(
    limen: Limen, clock: ManualClock
) -> None:
    chance = random.Random(15)
    limits: RateLimits = limen.features.login._limits
    flood = [str(IPv4Address(chance.getrandbits(32))) for _ in range(FLOOD // 2)]
    flood += [bucket(str(IPv6Address(chance.getrandbits(128)))) for _ in range(FLOOD // 2)]
    for start in range(0, FLOOD, TOGETHER):
        buckets = {limits.bucket(POLICY, address) for address in flood[start : start + TOGETHER]}
        async with limits.attempt(*buckets):
            pass
    filled = await rows(limen, rate_limits)

    assert 0.99 * FLOOD < len(filled) <= FLOOD
    assert max(len(str(tuple(row))) for row in filled) < 200
    assert limits._lanes.is_empty

    clock.tick(899)
    await limen.features.sweep.once()
    assert len(await rows(limen, rate_limits)) == len(filled)
    clock.tick(1)
    await limen.features.sweep.once()
    assert await rows(limen, rate_limits) == []


async def test_however_often_one_guesses_a_row_does_not_grow(
    limen: Limen, stranger: httpx2.AsyncClient, clock: ManualClock
) -> None:
    sizes = set()
    for _ in range(60):
        await guess(stranger, "ada@example.com")
        clock.tick(200)
        sizes |= {len(row.stamps) for row in await rows(limen, rate_limits)}

    assert len(await rows(limen, rate_limits)) == 2
    assert max(sizes) <= 50 * len(f"{clock() // SECOND * SECOND}-9f3a61c2;")


async def test_memory_holds_only_what_is_in_flight(
    limen: Limen, stranger: httpx2.AsyncClient
) -> None:
    emails = [f"user{number}@example.com" for number in range(60)]
    await asyncio.gather(*(guess(stranger, email) for email in emails))

    assert limen.features.login._limits._lanes.is_empty
