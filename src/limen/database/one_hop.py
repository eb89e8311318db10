"""aiosqlite, entered once a statement.

SQLite blocks, so each connection has a thread. Each thing asked of it goes there and back again
through a queue and the event loop, which costs more than most statements do. A cursor of aiosqlite
goes four times: to be made, to execute, to fetch, to close. Here the thread does all four at once,
for SQLAlchemy, which asks for a cursor, and for `limen.database.prepared`, which asks for rows.

Whatever becomes of the task that waits, a statement that has begun is finished there, with its
rows read and its cursor closed: none is left open that would keep its transaction.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from threading import Thread
from typing import Any, Self

import aiosqlite

_CHUNK = 64  # rows that aiosqlite's own iteration would fetch at once; we iterate over none


class OneHop(aiosqlite.Connection):
    """A connection whose cursors go to its thread once; made of what opens the file.

    `file` is what that file is known by.
    """

    def __init__(self, connector: Callable[[], sqlite3.Connection], file: object = None) -> None:
        super().__init__(connector, _CHUNK)
        self.file = file

    @property
    def thread(self) -> Thread:
        """The thread that does it, which ends after the connection."""
        return self._thread

    @property
    def is_broken(self) -> bool:
        """Whether it was closed: nothing else ends it."""
        return self._connection is None

    async def ask(self, text: str, values: Sequence[Any] = ()) -> list[Any]:
        """Run a statement; return its rows."""
        rows: list[Any] = await self.through(_rows, text, values)
        return rows

    async def ask_each(self, text: str, many: Sequence[Any]) -> None:
        """Run a statement with each of many values."""
        await self.cursor().executemany(text, many)

    async def commit(self) -> None:
        """Commit the transaction, if there is one."""
        if self.in_transaction:
            await super().commit()

    async def rollback(self) -> None:
        """Roll back the transaction, if there is one."""
        if self.in_transaction:
            await super().rollback()

    async def abandon(self) -> None:
        """Roll back whatever was begun, also by a statement that is still under way."""
        await self.through(_roll_back)

    async def through(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Return what `work` returns in the thread, for SQLite's connection and the arguments."""
        return await self._execute(work, self._conn, *arguments)  # type: ignore[no-untyped-call]

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
