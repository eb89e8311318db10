"""Rows of a table in the SQLite file of another program, which is only read.

The file is foreign: its views and triggers may call nothing, and no row may fill the memory.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from limen.errors import InvalidRequest

LARGEST_ROW = 16 << 20  # bytes; some keep pictures beside the address

_MAGIC = b"SQLite format 3\0"


def is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def rows_of(
    path: Path, table: str, needed: Sequence[str], wanted: Sequence[str] = ()
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the rowid and the columns of each row; `wanted` are those that need not be there.

    Raises:
        InvalidRequest: This is no such table, or it cannot be read to its end.
    """
    uri = f"file:{quote(str(path))}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_ROW)
            # Half a character must not keep out all rows: it becomes one that nobody accepts.
            connection.text_factory = lambda raw: raw.decode(errors="surrogateescape")
            columns = _columns(connection, table, needed, wanted)
            names = ", ".join(f'"{name}"' for name in columns)
            select = f"SELECT rowid, {names} FROM {_quoted(table)} ORDER BY rowid"  # noqa: S608  quoted
            for rowid, *values in connection.execute(select):
                yield rowid, dict(zip(columns, values, strict=True))
    except sqlite3.Error:
        raise InvalidRequest("The SQLite file cannot be read: is it whole, and one?") from None


def _columns(
    connection: sqlite3.Connection, table: str, needed: Sequence[str], wanted: Sequence[str]
) -> Sequence[str]:
    found = {
        name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", [table])
    }
    if not found:
        raise InvalidRequest("The file has no such table: name yours with --table.")
    if missing := [name for name in needed if name not in found]:
        raise InvalidRequest(f"The table has no column {missing[0]!r}: is it the one of accounts?")
    return [*needed, *(name for name in wanted if name in found)]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
