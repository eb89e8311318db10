"""The database, and the ways of using it: `read`, `write`, and `at_once` for one statement.

The same statements run on SQLite (`sqlite.py`) and on PostgreSQL (`postgresql.py`); what differs is
how a connection is opened and what can go wrong with it. Whatever the reason that a statement
cannot be run, the caller sees `DatabaseUnavailable`, and the next use tries again: nothing needs a
restart when the database comes back.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from types import ModuleType
from typing import Any

from sqlalchemy import Table
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from limen.database.connections import Connections, driver_of
from limen.database.prepared import Prepared
from limen.errors import DatabaseUnavailable
from limen.events import DatabaseFailed, Events

RECONNECT_SECONDS = 1.0
CLOSE_SECONDS, LOOK_AGAIN_SECONDS = 2.0, 0.01


class Database:
    """An open database: connections that write, and that only read, of the driver `dbapi`.

    They may be the same ones.
    """

    begin = "BEGIN"

    def __init__(
        self, writers: Connections, readers: Connections, events: Events, dbapi: ModuleType
    ) -> None:
        self._writers = writers
        self._readers = readers
        self._events = events
        self._failures: tuple[type[Exception], ...] = (DBAPIError, OSError, dbapi.Error)
        self._mistakes: tuple[type[Exception], ...] = (
            IntegrityError,
            ProgrammingError,
            dbapi.IntegrityError,
            dbapi.ProgrammingError,
        )

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Run a write transaction: committed at the end of the block, rolled back if it raises.

        It begins with the first statement in the block, before anything is read or written. Keep
        the block free of awaits on anything but this connection: other writers may wait for it.

        Raises:
            DatabaseUnavailable: Nothing was decided and nothing was written.
        """
        with self._translated():
            async with self._writers.one() as connection:
                driver = driver_of(connection)
                driver.defer(self.begin)
                yield connection
                await driver.commit()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Run statements that only read, each seeing what is committed when it starts.

        Raises:
            DatabaseUnavailable: The statement could not be run.
        """
        with self._translated():
            async with self._readers.one() as connection:
                yield connection

    async def at_once(self, statement: Prepared, values: Mapping[str, object]) -> Any:
        """Run one statement that is a transaction of its own; return its row, or None.

        It saves what begins and ends a transaction: one round trip, not three.

        Raises:
            DatabaseUnavailable: It was not run, or nobody knows whether it was.
        """
        with self._translated():
            async with self._writers.one() as connection:
                return await statement.row(connection, values)

    def insert(self, table: Table) -> Any:
        """Return an INSERT of this database that knows ON CONFLICT."""
        raise NotImplementedError

    async def announce(self, connection: AsyncConnection) -> None:
        """Hint to other processes, once this transaction is committed, that there is news.

        A hint may be lost, and a database may have none: nothing may rely on it.
        """

    async def hints(self) -> AsyncIterator[None]:
        """Yield whenever there may be news from another process; without hints, wait for ever."""
        while True:
            try:
                async for _ in self._heard():
                    yield
            except self._failures:
                pass  # whoever reads the news reports it
            await asyncio.sleep(RECONNECT_SECONDS)

    async def revision(self) -> str | None:
        """Return the revision of the schema as it stands; None where there are no tables.

        Raises:
            DatabaseUnavailable: It cannot be read just now.
        """
        select = "SELECT version_num FROM alembic_version"
        try:
            async with self.read() as connection:
                return (await connection.exec_driver_sql(select)).scalar_one_or_none()
        except ProgrammingError:
            return None

    async def close(self) -> None:
        """Close every connection. aiosqlite's threads would keep the process alive otherwise.

        Whoever still has one, such as a task that was just cancelled, may give it back first: one
        that was not by then is left open.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                while self._writers.lent or self._readers.lent:  # noqa: ASYNC110  they tell nobody
                    await asyncio.sleep(LOOK_AGAIN_SECONDS)
        await self._writers.close()
        await self._readers.close()

    async def _heard(self) -> AsyncIterator[None]:
        """Yield hints while a connection lasts, and one at its start: the past was not heard."""
        await asyncio.Future()
        yield

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except self._mistakes:
            raise  # a rule of the schema, or a mistake of ours: neither is an outage
        except self._failures as error:
            self._events.emit(DatabaseFailed(_kind(error)))
            raise DatabaseUnavailable from error


def _kind(error: Exception) -> str:
    """Name what failed as the database does: one exception stands for many causes.

    SQLite's own name, such as SQLITE_FULL, or the class of psycopg, such as DiskFull.
    """
    cause = getattr(error, "orig", None) or error
    return str(getattr(cause, "sqlite_errorname", None) or type(cause).__name__)
