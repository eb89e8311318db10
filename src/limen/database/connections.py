"""Connections to a database that are kept open, each lent to one task at a time, in turn.

SQLAlchemy has pools, which take a connection in and out of its wrappings at each use, and in which
waiting for one costs a task. Both together took a third of a refresh. Here what is kept is
SQLAlchemy's connection as it is used, and who waits, waits at a semaphore.

    lent          first come, first served; whoever waits longer than `patience` is refused
    given back    with nothing left to commit: a block that raises, or is cancelled, is rolled back
                  first, and only then the next may have it
    given up      where it has broken, or is no longer that of the database as it stands. The others
                  that are idle are given up with it: what has cut it off has met them, too
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol, cast

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


class Driver(Protocol):
    """A connection as its driver has it, beneath SQLAlchemy's. Its statements commit at once."""

    @property
    def is_broken(self) -> bool:
        """Whether nothing can be asked of it any more."""

    async def ask(self, text: str, values: Any = ()) -> Sequence[tuple[Any, ...]]:
        """Run a statement, in the driver's words; return its rows."""

    async def commit(self) -> None:
        """Commit the transaction that BEGIN has begun, if there is one."""

    async def abandon(self) -> None:
        """Roll back whatever was begun, also by a statement that is still under way."""


def driver_of(connection: AsyncConnection) -> Driver:
    """Return what is beneath."""
    if (proxied := connection.sync_connection) is None:
        raise RuntimeError("The connection was never opened.")
    return cast(Driver, proxied.connection.driver_connection)


class Connections:
    """Up to `size` connections of an engine without a pool; `patience` is in seconds.

    `lent` is how many are in use. `is_current` says whether an idle one still is one of the
    database as it stands; what `spoils` a connection has it given up like one that has broken.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        size: int,
        patience: float,
        *,
        is_current: Callable[[AsyncConnection], bool] = lambda _connection: True,
        spoils: Callable[[BaseException], bool] = lambda _error: False,
    ) -> None:
        self.engine = engine
        self.lent = 0
        self._patience = patience
        self._is_current = is_current
        self._spoils = spoils
        self._free = asyncio.Semaphore(size)
        self._idle: list[AsyncConnection] = []
        self._unwanted: set[asyncio.Task[None]] = set()
        self._open = True

    @asynccontextmanager
    async def one(self) -> AsyncIterator[AsyncConnection]:
        """Lend one.

        Raises:
            TimeoutError: None came free in time.
            Exception: What the driver raises where it cannot connect.
        """
        await self._wait()
        self.lent += 1
        try:
            connection = await self._current()
        except BaseException:
            self._leave()
            raise
        try:
            yield connection
            if connection.in_transaction():
                await connection.rollback()  # what SQLAlchemy thinks it began
        except BaseException as error:
            # To its end, even if the task is cancelled again: only then may the next have it.
            await asyncio.shield(asyncio.ensure_future(self._clean(connection, error)))
            raise
        await self._give_back(connection)

    async def close(self) -> None:
        """Close those that are idle, now, and the others as soon as they are given back."""
        self._open = False
        await self._give_up_idle()
        await asyncio.gather(*self._unwanted)

    async def _wait(self) -> None:
        if not self._free.locked():
            await self._free.acquire()  # at once
            return
        async with asyncio.timeout(self._patience):
            await self._free.acquire()

    async def _current(self) -> AsyncConnection:
        while self._idle:
            connection = self._idle.pop()
            if self._is_current(connection):
                return connection
            await _close(connection)
        opening = asyncio.ensure_future(self.engine.connect())
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:  # half open it would be nobody's, and stay
            self._unwanted.add(task := asyncio.ensure_future(_close_opened(opening)))
            task.add_done_callback(self._unwanted.discard)
            raise

    async def _clean(self, connection: AsyncConnection, error: BaseException) -> None:
        """Roll back what was begun in it, and give it back."""
        try:
            if self._spoils(error):
                await connection.close()
            if not _is_broken(connection):
                await driver_of(connection).abandon()
                await connection.rollback()
        except Exception:  # noqa: BLE001  whatever it is, nobody is to use it again
            await _close(connection)
        if _is_broken(connection):
            await self._give_up_idle()
        await self._give_back(connection)

    async def _give_back(self, connection: AsyncConnection) -> None:
        if self._open and not _is_broken(connection):
            self._idle.append(connection)
        else:
            await _close(connection)
        self._leave()

    def _leave(self) -> None:
        self.lent -= 1
        self._free.release()

    async def _give_up_idle(self) -> None:
        while self._idle:
            await _close(self._idle.pop())


def _is_broken(connection: AsyncConnection) -> bool:
    return connection.closed or connection.invalidated or driver_of(connection).is_broken


async def _close(connection: AsyncConnection) -> None:
    with suppress(Exception):  # it may have gone long ago
        await connection.close()


async def _close_opened(opening: asyncio.Future[AsyncConnection]) -> None:
    with suppress(Exception):
        await _close(await opening)
