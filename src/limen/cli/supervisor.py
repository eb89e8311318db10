"""Keeping N workers serving.

The supervisor holds the listening socket and never opens the database, so there is next to nothing
in it that can fail. What it does about its workers (`limen.cli.worker`):

    start     one worker alone, which migrates and makes what is missing; then the others at once.
              One that cannot start ends it all, in its own words and with its own exit code
    death     another takes the place, at once; after a growing pause where it died young
    silence   one that starts in another's place, and does not answer in time, is ended. The first
              ones have all the time they want: they may have much to migrate
    SIGHUP    a rolling restart, one after the other: a new worker is started, and once it answers
              the oldest is stopped. If it cannot start, the restart ends there; the others serve
    SIGTERM   and Ctrl-C are passed on: what is in flight is finished, then all end. A second
              Ctrl-C is passed on too, and ends them at once

SIGHUP also comes when a terminal is closed. Then nobody is left to press Ctrl-C, and it is a stop.
Where it is ignored from the start, as nohup has it, it stays ignored.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress

from click.exceptions import Exit

from limen.cli.commands import Failed
from limen.cli.worker import Worker, how
from limen.errors import LimenError

YOUNG_SECONDS = 10.0
PATIENCE_SECONDS = 60.0  # for a replacement to answer; on a busy machine it takes some five
PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 10.0)  # seconds, by how many before it died young in a row

_log = logging.getLogger("limen.serve")


class Supervisor:
    """`start` starts a worker; `let_go` is called with the pid of each that has ended."""

    def __init__(
        self, count: int, start: Callable[[], Awaitable[Worker]], let_go: Callable[[int], None]
    ) -> None:
        self._count = count
        self._start = start
        self._let_go = let_go
        self._living: set[Worker] = set()
        self._serving: list[Worker] = []  # oldest first
        self._stopping = asyncio.Event()
        self._news = asyncio.Event()
        self._has_terminal = _has_terminal()

    async def run(self, answering: Callable[[Worker], None]) -> None:
        """Keep the workers serving until a signal comes, and then until all have ended."""
        self._handle_signals()
        failure: Exception | None = None
        async with asyncio.TaskGroup() as self._tasks:  # its tasks end when all workers have
            try:
                if first := await self._open():
                    answering(first)
                while await self._restart_is_asked_for():
                    await self._restart()
            except (LimenError, Exit, OSError) as error:
                failure = error
                self._stop(signal.SIGTERM)
        if failure is not None:
            raise failure
        _log.info("stopped")

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_stop, number)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            loop.add_signal_handler(signal.SIGHUP, self._asked_to_restart)

    def _asked_to_stop(self, number: signal.Signals) -> None:
        _log.info("stopping", extra={"signal": number.name})
        self._stop(signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)

    def _asked_to_restart(self) -> None:
        if self._has_terminal and not _has_terminal():
            self._asked_to_stop(signal.SIGHUP)
        else:
            self._news.set()

    def _stop(self, number: signal.Signals) -> None:
        self._stopping.set()
        self._news.set()
        for worker in self._living:
            worker.stop(number)

    async def _open(self) -> Worker | None:
        """Start all workers and return the first, or None if they were asked to stop meanwhile."""
        try:
            first = await self._hire()
            await asyncio.gather(*[self._hire() for _ in range(self._count - 1)])
        except _CannotStart as failed:
            if self._stopping.is_set():
                return None
            if failed.code:
                raise Exit(failed.code) from None
            raise Failed(f"A worker ended before it answered: {failed}.") from None
        return None if self._stopping.is_set() else first

    async def _hire(self, patience: float | None = None) -> Worker:
        """Return a new worker when it answers; end it if it does not within `patience` seconds.

        Raises:
            _CannotStart: It has ended.
        """
        try:
            worker = await self._start()
        except OSError as error:
            raise _CannotStart(error.strerror or "no room", 0) from None
        self._living.add(worker)
        self._tasks.create_task(self._look_after(worker))
        if self._stopping.is_set():
            worker.stop()
        if await _answers(worker, patience) and worker in self._living:
            self._serving.append(worker)
            _log.info("worker serving", extra={"pid": worker.pid})
            return worker
        code = await worker.ended()
        raise _CannotStart(how(code), max(code, 0), pid=worker.pid)

    async def _look_after(self, worker: Worker) -> None:
        code = await worker.ended()
        self._living.remove(worker)
        self._let_go(worker.pid)
        if worker in self._serving:
            self._serving.remove(worker)
            if not self._stopping.is_set():
                _log.error("worker died", extra={"pid": worker.pid, "ended": how(code)})
                self._tasks.create_task(self._replace(worker))

    async def _replace(self, died: Worker) -> None:
        early = died.early_deaths if died.age < YOUNG_SECONDS else 0
        while await self._still_missing_after(PAUSES[min(early, len(PAUSES) - 1)]):
            early += 1
            try:
                worker = await self._hire(PATIENCE_SECONDS)
            except _CannotStart as failed:
                if not self._stopping.is_set():
                    _log.error("worker cannot start", extra=failed.told)
            else:
                worker.early_deaths = early
                await self._dismiss_surplus()

    async def _still_missing_after(self, pause: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._stopping.wait()
        return not self._stopping.is_set() and len(self._serving) < self._count

    async def _restart_is_asked_for(self) -> bool:
        await self._news.wait()
        self._news.clear()
        return not self._stopping.is_set()

    async def _restart(self) -> None:
        _log.info("restarting")
        for old in tuple(self._serving):
            if self._stopping.is_set():
                return
            if old not in self._serving:  # it has died, or has been dismissed already
                continue
            try:
                await self._hire(PATIENCE_SECONDS)
            except _CannotStart as failed:
                if not self._stopping.is_set():
                    _log.error("restart given up, the old workers go on", extra=failed.told)
                return
            await self._dismiss_surplus()
        _log.info("restarted")

    async def _dismiss_surplus(self) -> None:
        while len(self._serving) > self._count:
            oldest = self._serving.pop(0)
            oldest.stop()
            await oldest.ended()


class _CannotStart(Exception):
    """A worker ended before it answered; `code` is 0 if nobody has been told why."""

    def __init__(self, ended: str, code: int, **pid: int) -> None:
        super().__init__(ended)
        self.code = code
        self.told = {**pid, "ended": ended}


async def _answers(worker: Worker, patience: float | None) -> bool:
    try:
        async with asyncio.timeout(patience):
            return await worker.answers()
    except TimeoutError:
        says = {"pid": worker.pid, "seconds": patience}
        _log.error("worker does not answer, and is ended", extra=says)
        worker.stop()
        return False


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
