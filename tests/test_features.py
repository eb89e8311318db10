"""What runs in the background ends when it is told to."""

import asyncio

import pytest

from limen.features import _repeated

pytestmark = pytest.mark.anyio


async def test_a_stop_is_not_missed_when_news_come_at_the_same_moment() -> None:
    news = asyncio.Event()

    async def step() -> None:
        pass

    task = asyncio.create_task(_repeated(step, 60, news))
    await asyncio.sleep(0.01)
    news.set()
    await asyncio.sleep(0)
    task.cancel()

    _, running = await asyncio.wait([task], timeout=2)
    if running:
        task.cancel()
    assert not running
