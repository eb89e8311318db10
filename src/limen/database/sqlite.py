"""SQLite as it must be run for a login.

    WAL                   readers never wait for the writer
    BEGIN IMMEDIATE       a write transaction takes its lock at its start; one that began as a
                          reader would fail with "database is locked", whatever the busy timeout
    one writer            writes of this process queue in order
    short polls           for the lock that another process holds (`limen.database.one_hop`)
    synchronous=FULL      what was acknowledged survives a power cut
    secure_delete=ON      what was deleted is overwritten; not every SQLite does so by itself
    mode=rw               a database that has gone is an error, never a new empty one

SQLite tells nobody of a commit, but counts them in shared memory. Looking at that count is so cheap
that each process looks often, and hears of what another did long before its next pull.

A file that was moved away or replaced is noticed at the next use: acknowledging writes into a
file that no path leads to would lose them.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote
from weakref import WeakSet

from sqlalchemy import Table
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from limen.database.connections import Connections, driver_of
from limen.database.engine import Database
from limen.database.one_hop import POLL_SECONDS, OneHop
from limen.events import Events

# How long a statement waits for another process's write lock, and a task for its turn.
BUSY_SECONDS = 3.0
READERS = 4
LOOK_SECONDS = 0.1

_PRAGMAS = {
    "journal_mode": "WAL",
    "synchronous": "FULL",
    "secure_delete": "ON",
    "foreign_keys": "ON",
    "busy_timeout": int(BUSY_SECONDS * 1000),
}


class SQLite(Database):
    """An open SQLite file: one connection that writes, a few that read."""

    begin = "BEGIN IMMEDIATE"

    def __init__(self, path: Path, events: Events) -> None:
        self.path = path
        self._uri = f"file:{quote(str(path))}?mode=rw"
        self._threads: WeakSet[Thread] = WeakSet()
        # The writer polls for the lock itself. Readers hardly ever meet one: SQLite waits for it.
        writer = self._connections(1, "PRAGMA busy_timeout=0", patience=BUSY_SECONDS)
        readers = self._connections(READERS, "PRAGMA query_only=ON", patience=0)
        super().__init__(writer, readers, events, sqlite3)

    def insert(self, table: Table) -> Any:
        return insert(table)

    async def close(self) -> None:
        """Close every connection, and wait for their threads, which end a moment later.

        One that outlived the event loop could not say to it what it has done, and would complain.
        """
        await super().close()
        with suppress(TimeoutError):
            async with asyncio.timeout(BUSY_SECONDS):
                while any(thread.is_alive() for thread in self._threads):  # noqa: ASYNC110  it ends
                    await asyncio.sleep(POLL_SECONDS)

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

    def _connections(self, size: int, pragma: str, *, patience: float) -> Connections:
        engine = create_async_engine(
            "sqlite+aiosqlite://",
            async_creator=partial(self._connect, pragma, patience),
            poolclass=NullPool,
            pool_reset_on_return=None,
            hide_parameters=True,
        )
        return Connections(engine, size, BUSY_SECONDS, is_current=self._is_of_this_file)

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._uri, uri=True, isolation_level=None, factory=_Connection)

    async def _connect(self, pragma: str, patience: float) -> OneHop:
        connection = OneHop(self._open, patience, self._file())
        self._threads.add(connection.thread)
        await connection
        try:
            for name, value in _PRAGMAS.items():
                await connection.ask(f"PRAGMA {name}={value}")
            await connection.ask(pragma)
        except BaseException:
            await connection.close()  # its thread would keep the process alive
            raise
        return connection

    def _is_of_this_file(self, connection: AsyncConnection) -> bool:
        beneath = driver_of(connection)
        return isinstance(beneath, OneHop) and beneath.file == self._file()

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
