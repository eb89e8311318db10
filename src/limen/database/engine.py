"""Opening the database, and the two ways of using it: `read` and `write`.

SQLite as it must be run for a login:

    WAL                   readers never wait for the writer
    BEGIN IMMEDIATE       a write transaction takes its lock at its start; one that began as a
                          reader would fail with "database is locked", whatever the busy timeout
    one writer            writes of this process queue in order instead of polling for the lock
    synchronous=FULL      what was acknowledged survives a power cut
    mode=rw               a database that has gone is an error, never a new empty one

A file that was moved away or replaced is noticed at the next use: acknowledging writes into a
file that no path leads to would lose them. Whatever the reason that a statement cannot be run,
the caller sees `DatabaseUnavailable`, and the next use tries again; nothing needs a restart.
"""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import quote

import aiosqlite
from sqlalchemy import Connection, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, DisconnectionError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

from limen.errors import DatabaseUnavailable
from limen.events import DatabaseFailed, Events

# How long a statement waits for another process's write lock, and a task for its turn.
BUSY_SECONDS = 3.0
READERS = 4

_PRAGMAS = {
    "journal_mode": "WAL",
    "synchronous": "FULL",
    "foreign_keys": "ON",
    "busy_timeout": int(BUSY_SECONDS * 1000),
}


class Database:
    """An open SQLite database: one connection that writes, a few that read."""

    def __init__(self, path: Path, events: Events) -> None:
        self.path = path
        self._events = events
        self._writer = self._engine(connections=1)
        self._reader = self._engine(connections=READERS)
        event.listen(self._writer.sync_engine, "begin", _begin_immediate)
        event.listen(self._reader.sync_engine, "connect", _refuse_writes)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Run a write transaction: committed at the end of the block, rolled back if it raises.

        Keep it free of awaits on anything but this connection: all other writers wait for it.

        Raises:
            DatabaseUnavailable: Nothing was decided and nothing was written.
        """
        with self._translated():
            async with self._writer.begin() as connection:
                yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Run statements that only read, each seeing what is committed when it starts.

        Raises:
            DatabaseUnavailable: The statement could not be run.
        """
        with self._translated():
            async with self._reader.connect() as connection:
                yield connection

    async def close(self) -> None:
        """Close every connection. aiosqlite's threads would keep the process alive otherwise."""
        await self._writer.dispose()
        await self._reader.dispose()

    async def revision(self) -> str | None:
        """Return the revision of the schema as it stands.

        Raises:
            DatabaseUnavailable: It cannot be read just now.
        """
        async with self.read() as connection:
            found = await connection.exec_driver_sql("SELECT version_num FROM alembic_version")
            return found.scalar_one_or_none()

    def _engine(self, *, connections: int) -> AsyncEngine:
        engine = create_async_engine(
            "sqlite+aiosqlite://",
            async_creator=self._connect,
            poolclass=AsyncAdaptedQueuePool,
            pool_size=connections,
            max_overflow=0,
            hide_parameters=True,
            pool_timeout=BUSY_SECONDS,
        )
        event.listen(engine.sync_engine, "connect", self._remember_file)
        event.listen(engine.sync_engine, "checkout", self._require_same_file)
        return engine

    async def _connect(self) -> aiosqlite.Connection:
        connection = await aiosqlite.connect(
            f"file:{quote(str(self.path))}?mode=rw",
            uri=True,
            isolation_level=None,
            factory=_Connection,
        )
        try:
            for name, value in _PRAGMAS.items():
                await connection.execute(f"PRAGMA {name}={value}")
        except BaseException:
            await connection.close()  # its thread would keep the process alive
            raise
        return connection

    def _remember_file(self, _connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        entry.info["file"] = self._file()

    def _require_same_file(
        self, _connection: DBAPIConnection, entry: ConnectionPoolEntry, _proxy: object
    ) -> None:
        if entry.info["file"] != self._file():
            raise DisconnectionError("the database file was moved or replaced")

    def _file(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (IntegrityError, ProgrammingError):
            raise  # a rule of the schema, or a mistake of ours: neither is an outage
        except (DBAPIError, DisconnectionError, PoolTimeout, sqlite3.Error, OSError) as error:
            self._events.emit(DatabaseFailed(_kind(error)))
            raise DatabaseUnavailable from error


def _kind(error: Exception) -> str:
    """Name what failed as SQLite does, SQLITE_FULL or SQLITE_BUSY: one exception stands for all."""
    cause = getattr(error, "orig", None) or error
    return str(getattr(cause, "sqlite_errorname", None) or type(cause).__name__)


class _Connection(sqlite3.Connection):
    """Gives its lock back when it is closed.

    SQLite keeps a closed connection, with its transaction, until its last statement is forgotten;
    the statement of a task that was cancelled is held until the garbage collector comes by.
    """

    def close(self) -> None:
        if self.in_transaction:
            self.rollback()
        super().close()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _refuse_writes(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA query_only=ON")
    cursor.close()
