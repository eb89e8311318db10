"""Exactly so many attempts in any window, whatever the clock, the crowd or the sweep does."""

import asyncio
import re
from contextlib import suppress
from typing import Any

import pytest

from limen.clock import SECOND
from limen.database.schema import rate_limits
from limen.errors import Busy, DatabaseUnavailable, TooManyAttempts
from limen.events import Event, LimitHit
from limen.limen import Limen
from limen.rate_limits import TAKERS, Attempt, Bucket, Policy, RateLimits
from tests.clock import ManualClock
from tests.conftest import on_sqlite
from tests.crowds import until
from tests.driver import Call, watching
from tests.stored import moved_away, rows, slots_taken

pytestmark = pytest.mark.anyio

WINDOW = 900
FIVE = Policy("five", 5, WINDOW)
SIX = Policy("six", 6, WINDOW)
MICROSECOND = 1 / SECOND


@pytest.fixture
def limits(limen: Limen, clock: ManualClock) -> RateLimits:
    return RateLimits(
        limen.features.database, key=bytes(32), patience=5.0, clock=clock, events=limen.events
    )


@pytest.fixture
def ada(limits: RateLimits) -> Bucket:
    return limits.bucket(FIVE, "ada@example.com")


async def admits(limits: RateLimits, *buckets: Bucket) -> bool:
    """Make an attempt that fails, if it is admitted."""
    try:
        async with limits.attempt(*buckets):
            return True
    except TooManyAttempts:
        return False


async def admitted(limits: RateLimits, bucket: Bucket, *, of: int) -> int:
    return sum([await admits(limits, bucket) for _ in range(of)])


async def refusal(limits: RateLimits, *buckets: Bucket) -> TooManyAttempts:
    with pytest.raises(TooManyAttempts) as refused:
        await limits.attempt(*buckets).__aenter__()
    return refused.value


async def give_back(limen: Limen, limits: RateLimits, attempt: Attempt) -> None:
    async with limen.features.database.write() as connection:
        limits.give_back(connection, attempt)


async def test_five_are_admitted_and_the_sixth_is_not(limits: RateLimits, ada: Bucket) -> None:
    assert await admitted(limits, ada, of=5) == 5

    refused = await refusal(limits, ada)

    assert (refused.policy, refused.quota, refused.window) == ("five", 5, WINDOW)
    assert refused.retry_after == WINDOW


async def test_others_are_not_counted_together(limits: RateLimits, ada: Bucket) -> None:
    await admitted(limits, ada, of=5)

    assert await admits(limits, limits.bucket(FIVE, "bob@example.com"))
    assert await admits(limits, limits.bucket(SIX, "ada@example.com"))


@pytest.mark.parametrize(
    ("later", "is_free"),
    [(-MICROSECOND, False), (0, True), (MICROSECOND, True)],
    ids=["a microsecond before", "at its end", "a microsecond after"],
)
async def test_a_slot_comes_free_exactly_at_the_end_of_its_window(
    limits: RateLimits, ada: Bucket, clock: ManualClock, later: float, *, is_free: bool
) -> None:
    await admitted(limits, ada, of=5)
    clock.tick(WINDOW + later)

    assert await admits(limits, ada) is is_free


async def test_the_window_slides_so_slots_come_free_one_by_one(
    limits: RateLimits, ada: Bucket, clock: ManualClock
) -> None:
    """A fixed window would admit five just before its edge, and five more just behind it."""
    for _ in range(5):
        await admits(limits, ada)
        clock.tick(100)
    clock.tick(WINDOW - 500)

    for _ in range(5):
        assert await admitted(limits, ada, of=3) == 1
        clock.tick(100)


@pytest.mark.parametrize(
    ("waited", "retry_after"),
    [(0, 900), (0.1, 900), (1, 899), (899, 1), (899.5, 1), (WINDOW - MICROSECOND, 1)],
)
async def test_the_wait_is_told_in_whole_seconds_rounded_up_and_is_never_0(
    limits: RateLimits, ada: Bucket, clock: ManualClock, waited: float, retry_after: int
) -> None:
    await admitted(limits, ada, of=5)
    clock.tick(waited)

    assert (await refusal(limits, ada)).retry_after == retry_after

    clock.tick(retry_after)
    assert await admits(limits, ada)


async def test_a_refusal_writes_nothing_and_does_not_lengthen_the_wait(
    limen: Limen, limits: RateLimits, ada: Bucket, clock: ManualClock
) -> None:
    await admitted(limits, ada, of=5)
    before = await rows(limen, rate_limits)

    for _ in range(20):
        clock.tick(10)
        assert not await admits(limits, ada)

    assert await rows(limen, rate_limits) == before
    clock.tick(WINDOW - 200)
    assert await admits(limits, ada)


async def test_a_slot_is_taken_in_every_bucket_or_in_none(
    limen: Limen, limits: RateLimits, ada: Bucket
) -> None:
    roomy, fresh = limits.bucket(SIX, "203.0.113.7"), limits.bucket(SIX, "203.0.113.8")
    await admitted(limits, ada, of=4)
    assert await admits(limits, ada, roomy)

    assert not await admits(limits, ada, roomy)
    assert not await admits(limits, fresh, ada)

    assert await slots_taken(limen) == {"five": 5, "six": 1}


async def test_the_refusal_names_the_limit_that_refused(
    limits: RateLimits, ada: Bucket, clock: ManualClock, happened: list[Event]
) -> None:
    """Its neighbour would have had one slot left, and would have been full for longer."""
    address = limits.bucket(SIX, "203.0.113.7")
    await admitted(limits, ada, of=5)
    clock.tick(300)
    await admitted(limits, address, of=5)

    refused = await refusal(limits, ada, address)

    assert (refused.policy, refused.retry_after) == ("five", 600)
    assert happened[-1] == LimitHit("five")


async def test_where_several_refuse_the_longest_wait_is_told(
    limits: RateLimits, ada: Bucket, clock: ManualClock
) -> None:
    address = limits.bucket(SIX, "203.0.113.7")
    await admitted(limits, ada, of=5)
    clock.tick(300)
    await admitted(limits, address, of=6)

    refused = await refusal(limits, ada, address)

    assert (refused.policy, refused.retry_after) == ("six", 900)


async def test_a_success_gives_back_its_own_slot_and_no_other(
    limen: Limen, limits: RateLimits, ada: Bucket, clock: ManualClock
) -> None:
    """All five in the same microsecond: equal moments must not be taken for one another."""
    attempts = []
    for _ in range(5):
        async with limits.attempt(ada) as attempt:
            attempts.append(attempt)

    await give_back(limen, limits, attempts[2])
    assert await admitted(limits, ada, of=5) == 1

    await give_back(limen, limits, attempts[2])
    assert await admitted(limits, ada, of=5) == 0
    clock.tick(WINDOW)
    assert await admitted(limits, ada, of=9) == 5


async def test_a_slot_is_given_back_in_every_bucket_it_was_taken_in(
    limen: Limen, limits: RateLimits, ada: Bucket
) -> None:
    address = limits.bucket(SIX, "203.0.113.7")
    await admits(limits, ada, address)
    async with limits.attempt(ada, address) as attempt:
        await give_back(limen, limits, attempt)

    assert await slots_taken(limen) == {"five": 1, "six": 1}


async def test_a_success_that_is_not_committed_gives_nothing_back(
    limen: Limen, limits: RateLimits, ada: Bucket
) -> None:
    with suppress(ZeroDivisionError):
        async with limits.attempt(ada) as attempt, limen.features.database.write() as connection:
            limits.give_back(connection, attempt)
            raise ZeroDivisionError

    assert await slots_taken(limen) == {"five": 1}


@pytest.mark.parametrize("back", [MICROSECOND, 1, WINDOW, 86400])
async def test_a_clock_stepped_back_admits_nothing_more(
    limits: RateLimits, ada: Bucket, clock: ManualClock, back: float
) -> None:
    await admitted(limits, ada, of=4)
    clock.tick(-back)
    assert await admitted(limits, ada, of=9) == 1

    clock.tick(back + WINDOW - MICROSECOND)
    assert await admitted(limits, ada, of=9) == 0
    clock.tick(MICROSECOND)
    assert await admitted(limits, ada, of=9) >= 4


async def test_a_sweep_after_a_step_back_forgets_nothing(
    limen: Limen, limits: RateLimits, ada: Bucket, clock: ManualClock
) -> None:
    await admitted(limits, ada, of=4)
    clock.tick(-86400)
    await admitted(limits, ada, of=1)
    clock.tick(86400)

    await limen.features.sweep.once()

    assert await admitted(limits, ada, of=9) == 0


async def test_a_lowered_limit_counts_what_was_before(limits: RateLimits, ada: Bucket) -> None:
    await admitted(limits, ada, of=3)
    lowered = Bucket(Policy("five", 3, WINDOW), ada.row)

    assert await admitted(limits, lowered, of=3) == 0


async def test_a_raised_limit_counts_what_was_before(limits: RateLimits, ada: Bucket) -> None:
    await admitted(limits, ada, of=5)
    raised = Bucket(Policy("five", 8, WINDOW), ada.row)

    assert await admitted(limits, raised, of=8) == 3


async def test_the_database_does_not_show_who_is_counted(limen: Limen, limits: RateLimits) -> None:
    for subject in ("ada@example.com", "203.0.113.7", "2001:db8::/64"):
        await admits(limits, limits.bucket(FIVE, subject))

    for row in await rows(limen, rate_limits):
        assert re.fullmatch(r"five:[0-9a-f]{32}", row.bucket)
        assert re.fullmatch(r"[0-9]{16}-[0-9a-f]{8};", row.stamps)


async def test_the_name_of_a_bucket_depends_on_the_key(limen: Limen, clock: ManualClock) -> None:
    names = {
        RateLimits(
            limen.features.database, key=key, patience=1.0, clock=clock, events=limen.events
        ).bucket(FIVE, "ada@example.com")
        for key in (b"1" * 32, b"1" * 32, b"2" * 32)
    }

    assert len(names) == 2


async def test_no_more_than_the_quota_are_in_flight_together(
    limits: RateLimits, ada: Bucket
) -> None:
    """What waits finds the slots of those before it taken for good, or given back."""
    in_flight: list[int] = []
    end = asyncio.Event()

    async def attempt(number: int) -> None:
        async with limits.attempt(ada):
            in_flight.append(number)
            await end.wait()

    attempts = [asyncio.create_task(attempt(number)) for number in range(20)]
    await until(lambda: len(in_flight) == 5)
    end.set()
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [type(None)] * 5 + [TooManyAttempts] * 15
    assert limits._lanes.is_empty


async def test_a_slot_that_comes_free_while_one_looks_is_not_missed(
    limen: Limen, limits: RateLimits, ada: Bucket
) -> None:
    """What was read says that the bucket is full; whoever was in flight has succeeded since."""
    await admitted(limits, ada, of=4)
    in_flight, may_end, ended = (asyncio.Event() for _ in range(3))

    async def succeed() -> None:
        async with limits.attempt(ada) as attempt:
            in_flight.set()
            await may_end.wait()
            await give_back(limen, limits, attempt)
        ended.set()

    async def look_slowly(call: Call) -> Any:
        found = await call.make()
        if call.text.startswith("SELECT rate_limits") and not may_end.is_set():
            may_end.set()
            await ended.wait()
        return found

    last = asyncio.create_task(succeed())
    await in_flight.wait()
    with watching(look_slowly):
        assert await admits(limits, ada)
    await last
    assert may_end.is_set()  # it has looked


async def test_of_a_crowd_at_a_full_bucket_most_only_look(limits: RateLimits, ada: Bucket) -> None:
    """Each that tried to write would keep honest people's requests waiting for the writer."""
    written: list[str] = []

    async def note(call: Call) -> Any:
        if call.text.startswith("INSERT INTO rate_limits"):
            written.append(call.text)
        return await call.make()

    with watching(note):
        crowd = await asyncio.gather(*(admits(limits, ada) for _ in range(200)))

    assert sum(crowd) == 5
    assert len(written) <= 15


@on_sqlite
async def test_a_crowd_leaves_the_writer_to_others(limen: Limen, limits: RateLimits) -> None:
    """Whoever writes next waits behind a few of them, and not behind all."""
    written: list[str] = []

    async def attempt(number: int) -> None:
        async with limits.attempt(limits.bucket(FIVE, f"user{number}@example.com")):
            written.append("attempt")

    async def refresh() -> None:
        async with limen.features.database.write():
            written.append("refresh")

    async with limen.features.database.write():
        crowd = [asyncio.create_task(attempt(number)) for number in range(50)]
        await asyncio.sleep(0.05)
        crowd.append(asyncio.create_task(refresh()))
        await asyncio.sleep(0.05)
    await asyncio.gather(*crowd)

    assert written.index("refresh") <= TAKERS


async def test_who_waits_too_long_for_others_is_told_so_and_takes_no_slot(
    limen: Limen, ada: Bucket, clock: ManualClock
) -> None:
    impatient = RateLimits(
        limen.features.database, key=bytes(32), patience=0.01, clock=clock, events=limen.events
    )
    one = Bucket(Policy("five", 1, WINDOW), ada.row)
    async with impatient.attempt(one) as attempt:
        with pytest.raises(Busy) as refused:
            await impatient.attempt(one).__aenter__()
        await give_back(limen, impatient, attempt)

    assert refused.value.retry_after == 1
    assert await slots_taken(limen) == {"five": 0}
    assert impatient._lanes.is_empty


async def test_memory_is_released_whatever_becomes_of_an_attempt(
    limits: RateLimits, ada: Bucket
) -> None:
    began = asyncio.Event()

    async def attempt() -> None:
        async with limits.attempt(ada):
            began.set()
            await asyncio.sleep(10)

    gone = asyncio.create_task(attempt())
    await began.wait()
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    with pytest.raises(ZeroDivisionError):
        async with limits.attempt(ada):
            raise ZeroDivisionError
    await admitted(limits, ada, of=9)

    assert limits._lanes.is_empty


async def test_without_the_database_nothing_is_admitted(
    limen: Limen, limits: RateLimits, ada: Bucket
) -> None:
    with moved_away(limen), pytest.raises(DatabaseUnavailable):
        await limits.attempt(ada).__aenter__()

    assert await admitted(limits, ada, of=9) == 5
    assert limits._lanes.is_empty
