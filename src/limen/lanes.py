"""Lanes: attempts of one bucket that are in flight in this process wait for each other.

An attempt that was admitted holds its slot until it is decided: given back if it succeeds, taken
for good if it fails. Meanwhile nobody can say whether the bucket is full. So at most as many
attempts are in a lane as its bucket has slots, the others queue; and one that finds the bucket full
of attempts that are not decided waits for one of them to be.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from limen.errors import Busy


class Lanes:
    """One lane a bucket, for as long as somebody is in it; `patience` is in seconds."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._lanes: dict[str, _Lane] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nobody is in any lane."""
        return not self._lanes

    @asynccontextmanager
    async def entered(self, places: Mapping[str, int]) -> AsyncIterator[None]:
        """Be in all these lanes, each with so many places, for the length of the block.

        Raises:
            Busy: There was no place in time.
        """
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._patience):
                    for name in sorted(places):  # one order, so no deadlock
                        await stack.enter_async_context(self._place(name, places[name]))
            except TimeoutError:
                raise Busy(retry_after=1) from None
            yield

    @contextmanager
    def undecided(self, names: Collection[str]) -> Iterator[None]:
        """Tell the others in these lanes that an admitted attempt is decided after the block."""
        for name in names:
            self._lanes[name].undecided += 1
        try:
            yield
        finally:
            for name in names:
                self._lanes[name].decide()

    def found_full(self, names: Collection[str]) -> None:
        """Remember that these were full, for as long as somebody is in them."""
        for name in names:
            self._lanes[name].was_full = True

    def were_full(self, names: Iterable[str]) -> bool:
        """Whether one of these lanes, in which the caller is, was found full meanwhile."""
        return any(self._lanes[name].was_full for name in names)

    def next_decisions(self, names: Iterable[str]) -> Mapping[str, asyncio.Event]:
        """Return the next decision in each lane, from before one looks whether it is full."""
        return {name: self._lanes[name].decision for name in names}

    async def another_decided(self, decisions: Mapping[str, asyncio.Event]) -> bool:
        """Wait for one of these decisions; False if a lane has none to wait for, or it is late."""
        if any(decision.is_set() for decision in decisions.values()):
            return True  # while the others were looked at
        if not all(self._lanes[name].undecided for name in decisions):
            return False
        try:
            async with asyncio.timeout(self._patience):  # wait_for would swallow a cancellation
                await next(iter(decisions.values())).wait()
        except TimeoutError:
            return False
        return True

    @asynccontextmanager
    async def _place(self, name: str, places: int) -> AsyncIterator[None]:
        lane = self._lanes.setdefault(name, _Lane(places))
        lane.users += 1
        try:
            async with lane.places:
                yield
        finally:
            lane.users -= 1
            if not lane.users:
                del self._lanes[name]


class _Lane:
    def __init__(self, places: int) -> None:
        self.places = asyncio.Semaphore(places)
        self.users = 0
        self.undecided = 0
        self.was_full = False
        self.decision = asyncio.Event()  # the next one

    def decide(self) -> None:
        self.undecided -= 1
        self.decision.set()
        self.decision = asyncio.Event()
