"""Rounds go on whatever happens, end when told to, and serve those who wait for one."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from limen.errors import DatabaseUnavailable
from limen.rounds import PACE, Rounds
from tests.crowds import until

pytestmark = pytest.mark.anyio

SECONDS = 10


class Work:
    """A step that counts, and can be held up or made to fail."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.fault: Exception | None = None

    async def __call__(self) -> None:
        self.begun += 1
        await self.may_end.wait()
        if self.fault is not None:
            raise self.fault


@asynccontextmanager
async def repeated(rounds: Rounds, step: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    task = asyncio.create_task(rounds.repeat(step))
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_round_follows_another_without_being_asked_for() -> None:
    work = Work()
    async with repeated(Rounds(0.01), work):
        await until(lambda: work.begun >= 3)


async def test_a_hint_brings_the_next_round_forward() -> None:
    work, rounds = Work(), Rounds(3600)
    async with repeated(rounds, work):
        rounds.hurry()
        await until(lambda: work.begun == 1)


async def test_a_round_that_was_under_way_is_not_the_one_to_wait_for() -> None:
    """It may have looked before what is waited for was there."""
    work, rounds = Work(), Rounds(3600)
    async with repeated(rounds, work):
        work.may_end.clear()
        rounds.hurry()
        await until(lambda: work.begun == 1)
        waiting = asyncio.create_task(rounds.anew())
        await asyncio.sleep(PACE)
        work.may_end.set()

        assert await waiting is True
        assert work.begun == 2


async def test_a_crowd_that_waits_shares_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limen.rounds.PATIENCE", 60.0)
    work, rounds = Work(), Rounds(3600)
    async with repeated(rounds, work):
        answers = await asyncio.gather(*(rounds.anew() for _ in range(1000)))

    assert all(answers)
    assert work.begun == 1


async def test_however_often_somebody_asks_the_rounds_are_paced() -> None:
    work, rounds = Work(), Rounds(3600)
    loop = asyncio.get_running_loop()
    async with repeated(rounds, work):
        began = loop.time()
        for _ in range(5):
            await rounds.anew()

    assert loop.time() - began >= 4 * PACE * 0.99
    assert work.begun == 5


@pytest.mark.parametrize("fault", [DatabaseUnavailable(), RuntimeError("a mistake")], ids=repr)
async def test_a_round_that_fails_says_so_and_the_next_one_is_taken(
    fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    work, rounds = Work(), Rounds(3600)
    async with repeated(rounds, work):
        work.fault = fault
        failed = await rounds.anew()
        work.fault = None
        recovered = await rounds.anew()

    assert (failed, recovered) == (False, True)
    mistakes = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(mistakes) == (0 if isinstance(fault, DatabaseUnavailable) else 1)


async def test_where_no_rounds_are_taken_nobody_waits() -> None:
    async with asyncio.timeout(PACE):
        assert await Rounds(3600).anew() is False


async def test_a_round_that_hangs_is_waited_for_within_bounds() -> None:
    work, rounds = Work(), Rounds(3600)
    work.may_end.clear()
    async with repeated(rounds, work), asyncio.timeout(SECONDS):
        assert await rounds.anew() is False


async def test_whoever_waits_when_the_rounds_end_is_let_go() -> None:
    work, rounds = Work(), Rounds(3600)
    work.may_end.clear()
    async with repeated(rounds, work):
        waiting = asyncio.create_task(rounds.anew())
        await until(lambda: work.begun == 1)

    async with asyncio.timeout(1):
        assert await waiting is False


def test_rounds_are_taken_again_in_another_event_loop() -> None:
    """As of a limen that is opened a second time in one process, by another TestClient."""
    rounds = Rounds(3600)

    async def once() -> bool:
        async with repeated(rounds, Work()):
            return await rounds.anew()

    assert [asyncio.run(once()) for _ in range(2)] == [True, True]


async def test_a_stop_is_not_missed_when_news_come_at_the_same_moment() -> None:
    rounds = Rounds(60)
    task = asyncio.create_task(rounds.repeat(Work()))
    await asyncio.sleep(0.01)
    rounds.hurry()
    await asyncio.sleep(0)
    task.cancel()

    _, running = await asyncio.wait([task], timeout=2)
    if running:
        task.cancel()
    assert not running
