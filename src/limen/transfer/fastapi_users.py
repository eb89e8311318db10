"""Accounts of fastapi-users: the table `user` of a SQLite file.

email, hashed_password      Argon2 or bcrypt, as pwdlib and passlib write them
is_active, is_verified      as they say
is_superuser                told, no more: what it is worth here is the operator's to say
id                          if it is a random UUID, it stays: without its dashes, it is a user_id
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from limen.transfer.records import Record, Refused, Row, flag, text
from limen.transfer.sqlite_file import rows_of

TABLE = "user"

_COLUMNS = ("email", "hashed_password", "is_active", "is_superuser", "is_verified")
_RANDOM = 4  # RFC 9562: of all versions of UUID, the one that says nothing


def accounts_in(path: Path, table: str | None = None) -> Iterator[Row]:
    """Yield each row by its rowid.

    Raises:
        InvalidRequest: The file is not a SQLite file with that table.
    """
    for rowid, row in rows_of(path, table or TABLE, _COLUMNS, ["id"]):
        try:
            found: Record | Refused = _record(row)
        except Refused as refused:
            found = refused
        yield rowid, found


def _record(row: Any) -> Record:
    return Record(
        email=text(row["email"]),
        password_hash=text(row["hashed_password"]),
        user_id=_user_id(row.get("id")),
        is_superuser=flag(row["is_superuser"]),
        is_verified=flag(row["is_verified"]),
        is_disabled=not flag(row["is_active"]),
    )


def _user_id(value: object) -> str | None:
    try:
        found = UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found.hex if found and found.version == _RANDOM else None
