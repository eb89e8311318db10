"""Accounts of Django: the table `auth_user` of a SQLite file, or what `dumpdata auth.user` wrote.

    email, password             PBKDF2, scrypt, Argon2 or bcrypt; "!" in front: no usable password
    is_active, date_joined      as they say
    is_superuser                told, no more: what it is worth here is the operator's to say

Django does not verify addresses, and signs people in by a username, which is left behind.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from limen.errors import InvalidRequest
from limen.transfer.records import Record, Refused, Row, flag, moment, text
from limen.transfer.sqlite_file import is_sqlite, rows_of

TABLE, MODEL = "auth_user", "auth.user"
LARGEST_DUMP = 1 << 30  # bytes, all of them in memory; the database itself is read row by row

_NEEDED, _WANTED = ("email", "password", "is_active"), ("is_superuser", "date_joined")
_BETWEEN = " \t\r\n,"


def accounts_in(path: Path, table: str | None = None) -> Iterator[Row]:
    """Yield each row: of a table by its rowid, of a dump by its place among the objects.

    Raises:
        InvalidRequest: The file is neither, or has no such table or model.
    """
    if is_sqlite(path):
        rows: Iterator[tuple[int, Any]] = rows_of(path, table or TABLE, _NEEDED, _WANTED)
    else:
        rows = _dumped(path, (table or MODEL).lower())
    for place, row in rows:
        try:
            found: Record | Refused = _record(row)
        except (Refused, KeyError) as error:
            found = error if isinstance(error, Refused) else Refused("malformed")
        yield place, found


def _record(row: Mapping[str, Any]) -> Record:
    return Record(
        email=text(row["email"]),
        password_hash=text(row["password"]),
        is_superuser=flag(row.get("is_superuser", False)),
        is_disabled=not flag(row["is_active"]),
        created_at=moment(row.get("date_joined") or ""),
    )


def _dumped(path: Path, model: str) -> Iterator[tuple[int, Any]]:
    if path.stat().st_size > LARGEST_DUMP:
        raise InvalidRequest("The dump has more than 1 GiB: import the database file instead.")
    is_empty = True
    try:
        for place, entry in enumerate(_objects(path.read_text("utf-8")), start=1):
            known = entry if isinstance(entry, dict) else {}
            if str(known.get("model")).lower() == model:
                is_empty = False
                fields = known.get("fields")
                yield place, fields if isinstance(fields, dict) else {}
    except (ValueError, RecursionError):
        raise InvalidRequest("The file is neither a SQLite file nor a whole dump.") from None
    if is_empty:
        raise InvalidRequest("The dump has no such model: name yours with --table.")


def _objects(dump: str) -> Iterator[Any]:
    """Yield the objects of a JSON array, or of lines of JSON, one after the other."""
    decoder, at = json.JSONDecoder(), 0
    body = dump.strip().removeprefix("[").removesuffix("]").strip()
    while at < len(body):
        entry, at = decoder.raw_decode(body, at)
        yield entry
        while at < len(body) and body[at] in _BETWEEN:
            at += 1
