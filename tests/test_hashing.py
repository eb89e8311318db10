"""What a flood of sign-ins may cost, and what it must not."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from limen.errors import Busy
from limen.events import Event, Events, HashingRefused, PasswordHashed
from limen.hashing import NICENESS, HashingRoom

pytestmark = pytest.mark.anyio


class Hash:
    """A hash that takes as long as the test wants; it tells when it began."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.may_end.wait(10)
        return "hashed"


@pytest.fixture
def seen() -> list[Event]:
    return []


@pytest.fixture
def room(seen: list[Event]) -> Iterator[HashingRoom]:
    room = HashingRoom(1, 10.0, Events(seen.append))
    yield room
    room.close()


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def begun(hashing: Hash) -> None:
    while not hashing.begun.is_set():  # noqa: ASYNC110 (a thread sets it, not the loop)
        await asyncio.sleep(0.001)


async def test_work_runs_off_the_event_loop_and_its_result_comes_back(room: HashingRoom) -> None:
    assert await room.run(divmod, 17, 5) == (3, 2)
    assert await room.run(threading.get_ident) != threading.get_ident()


async def test_an_error_of_the_work_reaches_the_caller_and_frees_the_thread(
    room: HashingRoom,
) -> None:
    with pytest.raises(ZeroDivisionError):
        await room.run(divmod, 1, 0)

    assert await room.run(divmod, 1, 1) == (1, 0)
    assert (room.waiting, room.running) == (0, 0)


async def test_the_loop_turns_while_a_hash_runs(room: HashingRoom) -> None:
    hashing = Hash()
    job = asyncio.create_task(room.run(hashing))
    await begun(hashing)

    assert (room.waiting, room.running) == (0, 1)

    hashing.may_end.set()
    assert await job == "hashed"
    assert room.running == 0


async def test_no_more_run_at_once_than_there_are_threads(seen: list[Event]) -> None:
    room = HashingRoom(2, 10.0, Events(seen.append))
    hashes = [Hash() for _ in range(5)]
    jobs = [asyncio.create_task(room.run(hashing)) for hashing in hashes]
    await begun(hashes[1])
    await settled()

    assert (room.running, room.waiting) == (2, 3)
    assert [hashing.begun.is_set() for hashing in hashes] == [True, True, False, False, False]

    for hashing in hashes:
        hashing.may_end.set()
    assert await asyncio.gather(*jobs) == ["hashed"] * 5
    room.close()


async def test_those_who_wait_are_served_in_the_order_they_came(room: HashingRoom) -> None:
    served: list[int] = []
    await asyncio.gather(*(room.run(served.append, number) for number in range(20)))

    assert served == list(range(20))


async def test_a_wait_beyond_the_time_budget_is_refused_at_once(seen: list[Event]) -> None:
    room = HashingRoom(1, 0.12, Events(seen.append))  # the first guess is 0.05 s a hash
    hashing = Hash()
    jobs = [asyncio.create_task(room.run(hashing)) for _ in range(2)]
    await begun(hashing)

    started = time.perf_counter()
    refusals = 0
    for _ in range(1000):
        with pytest.raises(Busy) as refused:
            # Two are in the room; a third would still wait 0.10 s, a fourth 0.15 s.
            await asyncio.gather(room.run(hashing), room.run(hashing))
        refusals += 1
    took = (time.perf_counter() - started) / refusals

    assert refused.value.retry_after == 1
    told = [event.first for event in seen if isinstance(event, HashingRefused)]
    assert len(told) >= 1000
    assert told[0]
    assert sum(told) <= 2  # one a minute, and this does not take two
    assert took < 0.005
    hashing.may_end.set()
    await asyncio.gather(*jobs)
    await room.run(int)
    room.close()


async def test_slow_hashes_shorten_the_queue(room: HashingRoom, seen: list[Event]) -> None:
    room._average = 100.0
    hashing = Hash()
    job = asyncio.create_task(room.run(hashing))
    await begun(hashing)

    with pytest.raises(Busy) as refused:
        await room.run(int)
    with pytest.raises(Busy):
        room.admit()

    assert refused.value.retry_after == 100
    hashing.may_end.set()
    await job  # a free thread is always given, so the estimate recovers
    assert room._average < 100.0
    assert HashingRefused(first=True) in seen


async def test_a_free_thread_is_given_however_slow_the_others_are() -> None:
    room = HashingRoom(2, 10.0, Events())
    room._average = 100.0
    hashing = Hash()
    job = asyncio.create_task(room.run(hashing))
    await begun(hashing)

    assert await room.run(int) == 0

    hashing.may_end.set()
    await job
    room.close()


async def test_the_number_of_those_who_wait_is_capped() -> None:
    room = HashingRoom(1, 1e9, Events(), places=3)
    hashing = Hash()
    jobs = [asyncio.create_task(room.run(hashing)) for _ in range(4)]
    await begun(hashing)

    with pytest.raises(Busy):
        await room.run(int)

    hashing.may_end.set()
    await asyncio.gather(*jobs)
    room.close()


async def test_a_client_who_goes_away_gives_the_place_back_and_costs_nothing(
    room: HashingRoom,
) -> None:
    running, abandoned, patient = Hash(), Hash(), Hash()
    jobs = [asyncio.create_task(room.run(hashing)) for hashing in (running, abandoned, patient)]
    await begun(running)
    jobs[1].cancel()
    await settled()

    assert room.waiting == 1

    running.may_end.set()
    patient.may_end.set()
    await jobs[2]
    assert not abandoned.begun.is_set()
    assert jobs[1].cancelled()


async def test_a_hash_that_has_begun_keeps_its_thread_though_the_client_is_gone(
    room: HashingRoom, seen: list[Event]
) -> None:
    abandoned, following = Hash(), Hash()
    job = asyncio.create_task(room.run(abandoned))
    await begun(abandoned)
    job.cancel()
    follower = asyncio.create_task(room.run(following))
    await settled()

    assert job.cancelled()
    assert (room.running, room.waiting) == (1, 1)

    abandoned.may_end.set()
    following.may_end.set()
    await follower
    assert sum(isinstance(event, PasswordHashed) for event in seen) == 2


async def test_each_hash_is_an_event_with_its_wait_and_its_time(
    room: HashingRoom, seen: list[Event]
) -> None:
    await asyncio.gather(room.run(time.sleep, 0.05), room.run(time.sleep, 0.05))
    first, second = seen

    assert isinstance(first, PasswordHashed)
    assert isinstance(second, PasswordHashed)
    assert first.waited < 0.04 <= second.waited
    assert min(first.took, second.took) >= 0.05


async def test_a_closed_room_refuses_those_who_wait_and_those_who_come(room: HashingRoom) -> None:
    hashing = Hash()
    jobs = [asyncio.create_task(room.run(hashing)) for _ in range(3)]
    await begun(hashing)
    hashing.may_end.set()
    room.close()
    room.close()

    with pytest.raises(Busy):
        await room.run(int)
    outcomes = await asyncio.gather(*jobs, return_exceptions=True)
    assert outcomes[0] == "hashed"
    assert [type(outcome) for outcome in outcomes[1:]] == [Busy, Busy]


async def test_hashes_run_at_a_lower_priority_than_the_loop(room: HashingRoom) -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    expected = min(19, NICENESS) if sys.platform == "linux" else niceness()
    assert await room.run(niceness) == expected


async def test_a_place_counts_from_the_beginning_of_its_request(room: HashingRoom) -> None:
    room._places = 1
    async with room.place() as place:
        with pytest.raises(Busy):
            await room.run(int)
        assert await place.run(int) == 0
        assert await room.run(int) == 0  # it was given back when a thread began

    with suppress(RuntimeError):
        async with room.place():
            raise RuntimeError  # whatever becomes of the request
    assert (room.coming, room.waiting) == (0, 0)
