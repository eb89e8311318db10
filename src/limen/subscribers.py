"""Subscribers: what an application does when something happens, in its own process.

    @limen.on(AccountChanged)
    async def tell(event: AccountChanged) -> None:
        ...

A function that is not async is called there and then, and must not wait for anything: a request
waits for it. An async one becomes a task and holds nobody up; `AT_ONCE` of them run at a time, and
what happens while so many do is not told to another, which is logged. When limen stops, they have
`SECONDS` to come to their end. Whatever one raises is logged and changes nothing.

Everybody hears of what this process has done, once it is committed, and of nothing else: not of
what another worker or the command line did, nor, after a crash, of what was committed just before.
What must hear of everything, and more than once rather than never, is a webhook (`limen.webhooks`).
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from limen.events import Event, Subscriber

E = TypeVar("E", bound=Event)

Told = Callable[[E], Awaitable[None] | None]

AT_ONCE: Final = 100
SECONDS: Final = 5.0

_logger = logging.getLogger(__name__)


class Subscribers:
    """Makes subscribers of an application's functions, and sees to those that run as tasks."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def told_of(self, kind: type[E], function: Told[E]) -> Subscriber:
        """Return the subscriber that calls the function with each event of a kind."""

        def tell(event: Event) -> None:
            if not isinstance(event, kind):
                return
            said = function(event)
            if inspect.iscoroutine(said):
                self._run(said, event)

        return tell

    async def finish(self) -> None:
        """Wait until the tasks have come to their end, `SECONDS` at most, and then end them."""
        if self._running:
            await asyncio.wait(self._running, timeout=SECONDS)
        for task in (late := [*self._running]):
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _run(self, work: Coroutine[Any, Any, Any], event: Event) -> None:
        if len(self._running) >= AT_ONCE:
            work.close()
            _logger.error("too many subscribers are at work", extra={"on": type(event).__name__})
            return
        task = asyncio.create_task(_reported(work, event))
        self._running.add(task)  # the loop itself would let go of it
        task.add_done_callback(self._running.discard)


async def _reported(work: Coroutine[Any, Any, Any], event: Event) -> None:
    try:
        await work
    except Exception:
        _logger.exception("a subscriber failed", extra={"on": type(event).__name__})
