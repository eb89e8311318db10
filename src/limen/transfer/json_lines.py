"""Accounts as lines of JSON: what `limen users export` writes, an object a line.

The members are the columns of `limen.transfer.records`; only `email` and `password_hash` must be
there. A member that is not known is refused, because a misspelt one would do nothing.
"""

from collections.abc import Iterator
from typing import BinaryIO

from limen.lines import lines_of
from limen.transfer.records import COLUMNS, Record, Refused, Row, record
from limen.verify.strict_json import StrictJSONError, loads


def accounts_in(file: BinaryIO) -> Iterator[Row]:
    """Yield each account by the number of its line."""
    for number, line in enumerate(lines_of(file), start=1):
        if line.strip():
            yield number, _found(line)


def _found(line: bytes) -> Record | Refused:
    try:
        members = loads(line, max_depth=1)
        if not isinstance(members, dict) or not set(members) <= set(COLUMNS):
            return Refused("malformed")
        return record(members)
    except StrictJSONError:
        return Refused("malformed")
    except Refused as refused:
        return refused
