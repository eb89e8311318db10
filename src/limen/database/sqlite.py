"""SQLite as it must be run for a login.

    WAL                   readers never wait for the writer
    BEGIN IMMEDIATE       a write transaction takes its lock at its start; one that began as a
                          reader would fail with "database is locked", whatever the busy timeout
    one writer            writes of this process queue in order
    short polls           for the lock that another process holds: SQLite's own grow to 100 ms, and
                          a process that waits so long is starved by one that writes all the time
    synchronous=FULL      what was acknowledged survives a power cut
    secure_delete=ON      what was deleted is overwritten; not every SQLite does so by itself
    mode=rw               a database that has gone is an error, never a new empty one

SQLite tells nobody of a commit, but counts them in shared memory. Looking at that count is so cheap
that each process looks often, and hears of what another did long before its next pull.

A file that was moved away or replaced is noticed at the next use: acknowledging writes into a
file that no path leads to would lose them.
"""

import asyncio
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote
from weakref import WeakSet

from sqlalchemy import Connection, Row, Table, event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry
from sqlalchemy.util import await_only

from limen.database.engine import ALONE, Database
from limen.database.one_hop import OneHop
from limen.database.prepared import Prepared
from limen.events import Events

# How long a statement waits for another process's write lock, and a task for its turn.
BUSY_SECONDS = 3.0
READERS = 4
LOOK_SECONDS = 0.1
POLL_SECONDS = 0.003

_PRAGMAS = {
    "journal_mode": "WAL",
    "synchronous": "FULL",
    "secure_delete": "ON",
    "foreign_keys": "ON",
    "busy_timeout": int(BUSY_SECONDS * 1000),
}


class SQLite(Database):
    """An open SQLite file: one connection that writes, a few that read."""

    def __init__(self, path: Path, events: Events) -> None:
        self.path = path
        self._uri = f"file:{quote(str(path))}?mode=rw"
        self._threads: WeakSet[Thread] = WeakSet()
        writer, reader = self._engine(connections=1), self._engine(connections=READERS)
        event.listen(writer.sync_engine, "connect", _poll_itself)
        event.listen(writer.sync_engine, "begin", _begin_immediate)
        event.listen(reader.sync_engine, "connect", _refuse_writes)
        alone = writer.execution_options(**{ALONE: True})
        super().__init__(writer, reader, alone, events, failures=(sqlite3.Error,))

    def insert(self, table: Table) -> Any:
        return insert(table)

    async def close(self) -> None:
        """Close every connection, and wait for their threads.

        Nobody waits for that of a task that was cancelled while it connected; once the event loop
        has gone, it cannot say what it has done, and complains.
        """
        await super().close()
        with suppress(TimeoutError):
            async with asyncio.timeout(BUSY_SECONDS):
                while any(thread.is_alive() for thread in self._threads):  # noqa: ASYNC110  it ends
                    await asyncio.sleep(POLL_SECONDS)

    async def _run(
        self, connection: AsyncConnection, statement: Prepared, values: Mapping[str, object]
    ) -> Row[Any] | None:
        patience = _Patience()
        while True:
            try:
                return await super()._run(connection, statement, values)
            except OperationalError as error:
                pause = patience.after(error)  # nothing has happened
            await asyncio.sleep(pause)

    async def _heard(self) -> AsyncIterator[None]:
        # In the event loop itself: it reads shared memory, in some microseconds, and needs no
        # thread that would have to be waited for.
        file, seen = self._file(), None
        with closing(sqlite3.connect(self._uri, uri=True, timeout=0)) as connection:
            while file == self._file():
                count = connection.execute("PRAGMA data_version").fetchall()
                if count != seen:
                    seen = count
                    yield
                await asyncio.sleep(LOOK_SECONDS)

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

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._uri, uri=True, isolation_level=None, factory=_Connection)

    async def _connect(self) -> OneHop:
        connection = OneHop(self._open)
        self._threads.add(connection.thread)
        await connection
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


class _Connection(sqlite3.Connection):
    """Gives its lock back when it is closed.

    SQLite keeps a closed connection, with its transaction, until its last statement is forgotten;
    the statement of a task that was cancelled is held until the garbage collector comes by.
    """

    def close(self) -> None:
        try:
            if self.in_transaction:
                self.rollback()
        except sqlite3.ProgrammingError:
            pass  # it is closed already
        finally:
            super().close()


def _poll_itself(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    _execute(connection, "PRAGMA busy_timeout=0")


def _begin_immediate(connection: Connection) -> None:
    if connection.get_execution_options().get(ALONE):
        return  # each statement begins and commits by itself
    patience = _Patience()
    while True:
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        except OperationalError as error:
            pause = patience.after(error)
        else:
            return
        await_only(asyncio.sleep(pause))


class _Patience:
    """How long to wait for the lock that another process holds."""

    def __init__(self) -> None:
        self._until = time.monotonic() + BUSY_SECONDS

    def after(self, error: OperationalError) -> float:
        """Return how long to wait before the next try; raise the error if it was the last."""
        name = str(getattr(error.orig, "sqlite_errorname", ""))
        if not name.startswith("SQLITE_BUSY") or time.monotonic() > self._until:
            raise error
        return POLL_SECONDS * random.uniform(0.5, 1.5)  # noqa: S311  no secret


def _refuse_writes(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    _execute(connection, "PRAGMA query_only=ON")


def _execute(connection: DBAPIConnection, statement: str) -> None:
    cursor = connection.cursor()
    cursor.execute(statement)
    cursor.close()
