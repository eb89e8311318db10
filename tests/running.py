"""More than one limen on the same data: one after another is a restart, two at once are workers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from limen.events import Subscriber
from limen.limen import Limen
from limen.settings import Settings
from tests.clock import ManualClock
from tests.conftest import CHEAPEST


@asynccontextmanager
async def running(
    settings: Settings, clock: ManualClock, *subscribers: Subscriber
) -> AsyncIterator[Limen]:
    """Run a limen for the length of the block."""
    limen = Limen(settings, clock=clock, cost=CHEAPEST, subscribers=subscribers)
    async with limen.lifespan():
        yield limen
