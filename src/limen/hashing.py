"""The bounded room in which passwords are hashed.

A hash costs tens of milliseconds of a whole core and many megabytes, on purpose. A flood of
sign-ins must therefore slow nothing but sign-ins, and must not fill the memory:

    threads   of its own, as many as cores, at a lower priority than the event loop
    waiting   first come, first served, on the loop: whoever waits holds no thread
    refused   at once, where the wait would pass `queue_time`, or where every place is taken

A request goes to the database before its hash. It takes its place before that, so that no more set
out than can be served: were only those counted who have arrived, a flood would let everybody in,
all would wait for the database, and none would arrive in time.

The wait is foretold from who has a place and how long hashes took of late. A client who goes
away while waiting gives the place back, and that hash is never started; one that has started runs
to its end and keeps its thread until then, because a thread cannot be stopped.
"""

import asyncio
import math
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import ParamSpec, TypeVar

from limen.errors import Busy
from limen.events import Events, HashingRefused, PasswordHashed

P = ParamSpec("P")
T = TypeVar("T")

PLACES = 10_000  # a hard cap on those who wait: it bounds memory whatever the estimate says
NICENESS = 10  # of 19: the kernel gives the event loop about nine times a hash's share of a core
FIRST_GUESS = 0.05  # seconds for a hash, until the first has been timed
NEWS_SECONDS = 60.0  # after which a refusal is news again, whatever came between
NEWEST_WEIGHT = 0.1  # of the newest hash in the running average: it follows the last ten or so


class HashingRoom:
    """Runs blocking work in threads of its own; belongs to one event loop.

    `queue_time` is in seconds. `waiting`, `running` and `coming` count jobs.
    """

    def __init__(
        self, threads: int, queue_time: float, events: Events, *, places: int = PLACES
    ) -> None:
        self.waiting = 0
        self.running = 0
        self.coming = 0  # who has a place, and no thread yet
        self._size = threads
        self._queue_time = queue_time
        self._places = places
        self._events = events
        self._average = FIRST_GUESS
        self._told_at = -math.inf
        self._open = True
        self._free = asyncio.Semaphore(threads)
        self._threads = ThreadPoolExecutor(threads, "limen-hash", initializer=_step_back)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return `work(*args, **kwargs)`, computed in one of the room's threads.

        Raises:
            Busy: The wait would be too long, or the room is closed. Nothing was queued.
        """
        async with self.place() as place:
            return await place.run(work, *args, **kwargs)

    @asynccontextmanager
    async def place(self) -> AsyncIterator["Place"]:
        """Hold a place for a job that is not ready yet.

        Raises:
            Busy: The wait would be too long, or every place is taken.
        """
        self.admit()
        self.coming += 1
        place = Place(self)
        try:
            yield place
        finally:
            place.leave()

    def close(self) -> None:
        """Refuse all further work, and wait for the hashes that are running. May be repeated."""
        self._open = False
        self._threads.shutdown(cancel_futures=True)

    def admit(self) -> None:
        """Refuse a job that would have to wait too long.

        Raises:
            Busy: The wait would be too long, or the room is closed.
        """
        wait = self._expected_wait()
        if wait <= self._queue_time and self.coming < self._places:
            return
        self._events.emit(HashingRefused(first=self._is_news()))
        raise Busy(retry_after=max(1, math.ceil(wait)))

    async def take_turn(self, place: "Place", work: Callable[[], T]) -> T:
        """Do it in the next thread that is free, and give the place back when that begins.

        Raises:
            Busy: The room was closed meanwhile.
        """
        arrived = time.monotonic()
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        place.leave()
        return await self._start(work, time.monotonic() - arrived)

    def _is_news(self) -> bool:
        now = time.monotonic()
        if now < self._told_at + NEWS_SECONDS:
            return False
        self._told_at = now
        return True

    def _expected_wait(self) -> float:
        pending = self.running + self.coming
        return 0.0 if pending < self._size else pending * self._average / self._size

    async def _start(self, work: Callable[[], T], waited: float) -> T:
        if not self._open:  # closed while this job waited: let the next in the queue learn it too
            self._free.release()
            raise Busy(retry_after=1)
        self.running += 1
        job = asyncio.get_running_loop().run_in_executor(self._threads, _timed, work)
        job.add_done_callback(partial(self._leave, waited))
        outcome, _ = await asyncio.shield(job)  # the thread outlives a client who goes away
        return outcome

    def _leave(self, waited: float, job: asyncio.Future[tuple[T, float]]) -> None:
        self.running -= 1
        self._free.release()
        if job.cancelled() or job.exception() is not None:
            return
        took = job.result()[1]
        self._average += NEWEST_WEIGHT * (took - self._average)
        self._events.emit(PasswordHashed(waited, took))


class Place:
    """A job's place, until a thread begins with it or its request ends."""

    def __init__(self, room: HashingRoom) -> None:
        self._room = room
        self._is_held = True

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return `work(*args, **kwargs)`, computed in one of the room's threads; once a place.

        Raises:
            Busy: The room was closed meanwhile.
        """
        return await self._room.take_turn(self, partial(work, *args, **kwargs))

    def leave(self) -> None:
        """Give the place back. May be repeated."""
        if self._is_held:
            self._is_held = False
            self._room.coming -= 1


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def _step_back() -> None:
    # Only Linux gives each thread a priority: elsewhere this number may name another process.
    if sys.platform == "linux":
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        except OSError:
            return  # a sandbox may forbid it: hashing works all the same
