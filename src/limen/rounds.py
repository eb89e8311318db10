"""Work done over and over: each round at its time, or sooner, with others who wait for one.

What every process has to read again and again is read in rounds. A hint brings the next round
forward. Whoever finds that he knows too little, such as a verifier that meets a key it has never
seen, waits for a round that begins after he came: one that was under way may have looked too
early. However many ask, rounds that are asked for are `PACE` apart, so that asking costs the
database nothing worth an attack.

A round that fails ends too. Those who waited are told, and the next round tries again.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from limen.errors import DatabaseUnavailable

PACE = 0.2  # seconds from one round to the next that somebody asked for
PATIENCE = 2.0  # seconds for which somebody waits for a round

_logger = logging.getLogger(__name__)


class Rounds:
    """Rounds of one kind of work, `seconds` apart."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._early, self._end = asyncio.Event(), asyncio.Event()
        self._running = False
        self._began_at = 0.0
        self._begun = self._ended = self._succeeded = 0  # the numbers of the last rounds that did

    async def repeat(self, step: Callable[[], Awaitable[object]]) -> None:
        """Take the step, round after round, until cancelled."""
        self._early, self._end = asyncio.Event(), asyncio.Event()  # of this event loop
        self._running = True
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._seconds):
                        await self._early.wait()
                self._early.clear()
                await self._round(step)
        finally:
            self._running = False
            self._wake()

    def hurry(self) -> None:
        """Begin the next round now."""
        self._early.set()

    async def anew(self) -> bool:
        """Wait for a round that begins from now on; return whether it succeeded.

        Where no rounds are taken, or none ends in time, the answer is False.
        """
        awaited = self._begun + 1
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await asyncio.sleep(self._began_at + PACE - time.monotonic())
                while self._running and self._ended < awaited:
                    if self._begun < awaited:
                        self.hurry()
                    await self._end.wait()
        return self._succeeded >= awaited

    async def _round(self, step: Callable[[], Awaitable[object]]) -> None:
        self._begun += 1
        self._began_at = time.monotonic()
        if await _succeeds(step):
            self._succeeded = self._begun
        self._ended = self._begun
        self._wake()

    def _wake(self) -> None:
        self._end.set()
        self._end = asyncio.Event()


async def _succeeds(step: Callable[[], Awaitable[object]]) -> bool:
    try:
        await step()
    except DatabaseUnavailable:
        return False  # reported where it happened
    except Exception:
        # A mistake of ours must not end the rounds for good; what depends on them counts how
        # long it lasts, and says no when it has lasted too long.
        _logger.exception("a background step failed")
        return False
    return True
