"""The hashing room: who reached it, and others in it, so that a test can say who comes first."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from limen.events import Event, PasswordHashed
from limen.hashing import HashingRoom

SECONDS = 60  # longer than anything here takes on a busy machine


def hashes(happened: Iterable[Event]) -> int:
    """Count the hashes that were computed or verified."""
    return sum(isinstance(event, PasswordHashed) for event in happened)


@asynccontextmanager
async def occupied(room: HashingRoom) -> AsyncIterator[None]:
    """Keep every thread of the room busy for the length of the block: all others wait."""
    may_end = threading.Event()
    others = [asyncio.create_task(room.run(may_end.wait, SECONDS)) for _ in range(room._size)]
    await until(lambda: room.running == room._size)
    try:
        yield
    finally:
        may_end.set()
        await asyncio.gather(*others)


@asynccontextmanager
async def full(room: HashingRoom) -> AsyncIterator[None]:
    """Make the room refuse everybody for the length of the block."""
    async with occupied(room):
        average, room._average = room._average, 100.0
        try:
            yield
        finally:
            room._average = average


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another task or thread is about to do."""
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110  there is no event to wait for
            await asyncio.sleep(0.001)
