"""Accounts in CSV: a line that names the columns, then a line for each account.

    email, password_hash                              both must be there
    user_id, scope, verified, disabled, created_at    those that there are, in any order

A flag is true or false (also t and f, 1 and 0), a moment is ISO 8601, "!" is no password.
"""

import csv
from collections.abc import Iterator
from typing import BinaryIO

from limen.errors import InvalidRequest
from limen.lines import lines_of
from limen.transfer.records import COLUMNS, NEEDED, Record, Refused, Row, record


def accounts_in(file: BinaryIO) -> Iterator[Row]:
    """Yield each account by the number of its line, which is its last if it has several.

    Raises:
        InvalidRequest: The first line does not name the columns.
    """
    # What is no UTF-8 becomes what no address and no hash may hold.
    lines = (line.decode(errors="surrogateescape") for line in lines_of(file))
    reader = csv.reader(lines, strict=True)
    names = _names(next(_cells(reader), None))
    for cells in _cells(reader):
        if cells != []:  # an empty line is none
            yield reader.line_num, _found(names, cells)


def _cells(reader: Iterator[list[str]]) -> Iterator[list[str] | None]:
    """Yield the cells of each line, and None for one with a quote too many or too few."""
    while True:
        try:
            yield next(reader)
        except csv.Error:
            yield None
        except StopIteration:
            return


def _names(cells: list[str] | None) -> list[str]:
    names = [name.strip().lower() for name in cells or []]
    if len(set(names)) < len(names) or not set(NEEDED) <= set(names) <= set(COLUMNS):
        others = ", ".join(name for name in COLUMNS if name not in NEEDED)
        # What stands there may be somebody's address: it is not repeated.
        raise InvalidRequest(
            f"The first line must name the columns: email,password_hash, and any of {others}."
        )
    return names


def _found(names: list[str], cells: list[str] | None) -> Record | Refused:
    if cells is None or len(cells) != len(names):
        return Refused("malformed")
    try:
        return record(dict(zip(names, cells, strict=True)))
    except Refused as refused:
        return refused
