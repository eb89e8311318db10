"""128 bits as a column: text of 32 hexadecimal digits in Python, in tokens and on SQLite.

On PostgreSQL it is a `uuid`, which every tool there shows and reads, in 16 bytes: the same as text
takes 33, in each row and again in each index. What comes back has no dashes, like what went in
(`limen.database.postgresql`). Whatever is not 32 such digits is nothing that was ever stored. It
may come from outside, so it finds no row, and is no error.
"""

import re

from sqlalchemy import Dialect, String, TypeDecorator
from sqlalchemy.dialects.postgresql import UUID

_WRITTEN = re.compile(r"[0-9a-f]{32}")


class _AsUuid(TypeDecorator[str]):
    """PostgreSQL's uuid, without any of the other spellings that it would read."""

    impl = UUID(as_uuid=False)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return value if value and _WRITTEN.fullmatch(value) else None


HEX128 = String(32).with_variant(_AsUuid(), "postgresql")
