"""Connections to a database that are kept open, each lent to one task at a time, in turn.

SQLAlchemy has pools, which take a connection in and out of its wrappings at each use, and in which
waiting for one costs a task. Both together took a third of a refresh. Here what is kept is
SQLAlchemy's connection as it is used, and who waits, waits at a semaphore.

    lent          first come, first served; whoever waits longer than `patience` is refused
    given back    with nothing left to commit: a block that raises, or is cancelled, is rolled back
                  first, and only then the next may have it
    given up      where it has broken, or is no longer one of the database as it stands. If it broke
                  by an error, all others are given up with it, the idle ones at once, those that
                  are lent when they come back: what cut it off has met them, too

A task may be cancelled at any moment. What was begun for it then goes on without it, to its end:
opening, rolling back, closing.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

T = TypeVar("T")


class UnexpectedRows(Exception):
    """A deferred statement did not return as many rows as it should."""


class Deferred(NamedTuple):
    """A statement in the driver's words, and how many rows it should return."""

    text: str
    values: Any
    rows: int | None

    def check(self, found: Sequence[Any]) -> None:
        """Raise UnexpectedRows if these are not what is meant."""
        if self.rows is not None and len(found) != self.rows:
            raise UnexpectedRows


class Driver(Protocol):
    """A connection as its driver has it, beneath SQLAlchemy's.

    Each statement commits by itself, unless BEGIN was asked before.
    """

    @property
    def is_broken(self) -> bool:
        """Whether nothing can be asked of it any more."""

    def defer(self, text: str, values: Any = (), rows: int | None = None) -> None:
        """Have a statement run before what is asked next, on the same way; its rows are dropped.

        It fails where that is asked, and so it does with UnexpectedRows, before anything is
        committed, where it should return so many `rows`. It saves a statement its own way to the
        database.
        """

    async def ask(self, text: str, values: Any = ()) -> Sequence[tuple[Any, ...]]:
        """Run a statement, in the driver's words; return its rows."""

    async def ask_each(self, text: str, many: Sequence[Any]) -> None:
        """Run a statement with each of many values, in one go."""

    async def commit(self) -> None:
        """Commit what was begun."""

    async def abandon(self) -> None:
        """Roll back whatever was begun, also by a statement that is still under way.

        What was deferred is forgotten.
        """


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
        self._going_on: set[asyncio.Future[Any]] = set()
        self._cuts = 0
        self._open = True

    @asynccontextmanager
    async def one(self) -> AsyncIterator[AsyncConnection]:
        """Lend one.

        Raises:
            TimeoutError: None came free in time.
            Exception: What the driver raises where it cannot connect.
        """
        await self._enter()
        connection = await self._take()
        cuts = self._cuts
        try:
            yield connection
            if connection.in_transaction():
                await connection.rollback()  # what SQLAlchemy thinks it began
        except BaseException as error:
            await asyncio.shield(self._begun(self._clean(connection, error)))
            raise
        await self._give_back(connection, is_clean=cuts == self._cuts)

    async def close(self) -> None:
        """Close those that are idle, now, and the others as soon as they are given back."""
        self._open = False
        self._give_up_idle()
        await asyncio.gather(*self._going_on, return_exceptions=True)

    async def _enter(self) -> None:
        if self._free.locked():
            async with asyncio.timeout(self._patience):
                await self._free.acquire()
        else:
            await self._free.acquire()
        self.lent += 1

    def _leave(self) -> None:
        self.lent -= 1
        self._free.release()

    async def _take(self) -> AsyncConnection:
        while self._idle:
            if self._is_current(connection := self._idle.pop()):
                return connection
            self._begun(_close(connection))
        opening = self._begun(self.engine.connect())
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            self._begun(self._take_back(opening))
            raise
        except BaseException:
            self._leave()
            raise

    async def _take_back(self, opening: asyncio.Future[AsyncConnection]) -> None:
        """Keep what was opened for a task that has gone."""
        try:
            connection = await opening
        except BaseException:
            self._leave()
            raise
        await self._give_back(connection)

    async def _clean(self, connection: AsyncConnection, error: BaseException) -> None:
        """Roll back what was begun in it, and give it back; up, where that cannot be done."""
        is_clean = False
        try:
            with suppress(Exception):
                if not self._spoils(error) and not _is_broken(connection):
                    await driver_of(connection).abandon()
                    await connection.rollback()
                    is_clean = True
            if not is_clean and isinstance(error, Exception):
                self._cuts += 1
                self._give_up_idle()
        finally:
            await self._give_back(connection, is_clean=is_clean)

    async def _give_back(self, connection: AsyncConnection, *, is_clean: bool = True) -> None:
        try:
            if self._open and is_clean and not _is_broken(connection):
                self._idle.append(connection)
            else:
                await _close(connection)
        finally:
            self._leave()

    def _give_up_idle(self) -> None:
        while self._idle:
            self._begun(_close(self._idle.pop()))

    def _begun(self, work: Awaitable[T]) -> asyncio.Future[T]:
        """Begin what is to go on without the task that needs it."""
        task = asyncio.ensure_future(work)
        self._going_on.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Future[Any]) -> None:
        self._going_on.discard(task)
        if not task.cancelled():
            task.exception()  # whoever still waits for it is told; else it was of no use any more


def _is_broken(connection: AsyncConnection) -> bool:
    return connection.closed or connection.invalidated or driver_of(connection).is_broken


async def _close(connection: AsyncConnection) -> None:
    with suppress(Exception):  # it may have gone long ago
        await connection.close()
