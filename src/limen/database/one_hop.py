"""aiosqlite, entered once a statement.

SQLite blocks, so each connection has a thread. Each thing asked of it goes there and back again
through a queue and the event loop, which costs more than most statements do. A cursor of aiosqlite
goes four times: to be made, to execute, to fetch, to close. Here the thread does all four at once,
for SQLAlchemy, which asks for a cursor, and for `limen.database.prepared`, which asks for rows.

What was deferred goes along with the next thing that is asked: BEGIN with the first statement of a
transaction, those that nobody waits for with its COMMIT.

Another process may hold the lock. Where a transaction has not begun, nothing is done yet, so it is
asked for again, in short intervals, within bounds: SQLite's own grow to 100 ms, and whoever waits
so long is starved by a process that writes all the time.

Whatever becomes of the task that waits, a statement that has begun is finished there, with its
rows read and its cursor closed: none is left open that would keep its transaction.
"""

import asyncio
import random
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from threading import Thread
from typing import Any, Self

import aiosqlite

from limen.database.connections import Deferred

POLL_SECONDS = 0.003

_CHUNK = 64  # rows that aiosqlite's own iteration would fetch at once; we iterate over none


class OneHop(aiosqlite.Connection):
    """A connection whose cursors go to its thread once; made of what opens the file.

    `patience` is how many seconds it waits for another process's lock; `file` is what that file is
    known by.
    """

    def __init__(
        self, connector: Callable[[], sqlite3.Connection], patience: float, file: object = None
    ) -> None:
        super().__init__(connector, _CHUNK)
        self.patience = patience
        self.file = file
        self._deferred: list[Deferred] = []

    @property
    def thread(self) -> Thread:
        """The thread that does it, which ends after the connection."""
        return self._thread

    @property
    def is_broken(self) -> bool:
        """Whether it was closed: nothing else ends it."""
        return self._connection is None

    def defer(self, text: str, values: Sequence[Any] = (), rows: int | None = None) -> None:
        """Have a statement run with what is asked next; it may have to return so many rows."""
        self._deferred.append(Deferred(text, values, rows))

    async def ask(self, text: str, values: Sequence[Any] = ()) -> list[Any]:
        """Run a statement; return its rows."""
        rows: list[Any] = await self.through(_rows, text, values)
        return rows

    async def ask_each(self, text: str, many: Sequence[Any]) -> None:
        """Run a statement with each of many values."""
        await self.cursor().executemany(text, many)

    async def commit(self) -> None:
        """Commit the transaction, if there is one."""
        if self._deferred or self.in_transaction:
            await self.through(sqlite3.Connection.commit)

    async def rollback(self) -> None:
        """Roll back the transaction, if there is one."""
        if self.in_transaction:
            await super().rollback()

    async def abandon(self) -> None:
        """Roll back whatever was begun, also by a statement that is still under way."""
        self._deferred.clear()
        await self.through(_roll_back)

    async def through(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Return what `work` returns in the thread, for SQLite's connection and the arguments."""
        deferred, self._deferred = self._deferred, []
        had_begun = self.in_transaction
        until = time.monotonic() + self.patience
        while True:
            try:
                return await self._execute(_after, self._conn, deferred, work, arguments)  # type: ignore[no-untyped-call]
            except sqlite3.OperationalError as error:
                has_begun = had_begun or self.in_transaction
                if not _is_locked(error) or has_begun or time.monotonic() > until:
                    raise
            await asyncio.sleep(POLL_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311  no secret

    def cursor(self) -> "Cursor":  # type: ignore[override]
        """Return a cursor; nothing is asked of the thread yet."""
        return Cursor(self)


class Cursor:
    """What SQLAlchemy asks of a cursor. The rows are here as soon as it has executed."""

    arraysize = 1

    def __init__(self, connection: OneHop) -> None:
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self._connection = connection
        self._rows: list[Any] = []

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Self:
        """Run a statement, and take all its rows."""
        await self._go(sqlite3.Cursor.execute, statement, parameters)
        return self

    async def executemany(self, statement: str, parameters: Iterable[Sequence[Any]]) -> Self:
        """Run a statement for each of some parameters."""
        await self._go(sqlite3.Cursor.executemany, statement, parameters)
        return self

    async def fetchall(self) -> list[Any]:
        """Return the rows."""
        return self._rows

    async def close(self) -> None:
        """Do nothing: it was closed when it had executed."""

    async def _go(self, execute: Callable[..., Any], *arguments: Any) -> None:
        found = await self._connection.through(_whole, execute, arguments)
        self.description, self._rows, self.rowcount, self.lastrowid = found


def _after(
    connection: sqlite3.Connection,
    deferred: Sequence[Deferred],
    work: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> Any:
    for one in deferred:
        one.check(_rows(connection, one.text, one.values))
    return work(connection, *arguments)


def _is_locked(error: sqlite3.OperationalError) -> bool:
    # Python's module raises some of its own, without a name.
    return getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.rollback()


def _rows(connection: sqlite3.Connection, text: str, values: Sequence[Any]) -> list[Any]:
    cursor = connection.cursor()
    try:
        return cursor.execute(text, values).fetchall()
    finally:
        cursor.close()


def _whole(
    connection: sqlite3.Connection, execute: Callable[..., Any], arguments: tuple[Any, ...]
) -> tuple[Any, list[Any], int, int | None]:
    cursor = connection.cursor()
    try:
        execute(cursor, *arguments)
        rows = cursor.fetchall() if cursor.description else []
        return cursor.description, rows, cursor.rowcount, cursor.lastrowid
    finally:
        cursor.close()
