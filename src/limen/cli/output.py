"""Showing things: one JSON document for programs, lines for people.

A line holds nothing that could move a cursor, whatever was stored in the database or stands in a
token. Times are RFC 3339 in UTC.
"""

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import click

from limen.cli.commands import Failed, as_document
from limen.clock import SECOND
from limen.telemetry.redaction import one_line

_GAP = "  "


def show(document: object, lines: Iterable[str], *, as_json: bool, err: bool = False) -> None:
    """Print the document or the lines; `err` sends the lines to standard error.

    Raises:
        Failed: They cannot be written, as on a full disk. A reader who has left is click's affair.
    """
    try:
        if as_json:
            click.echo(as_document(document))
            return
        for line in lines:
            click.echo(one_line(line), err=err)
    except BrokenPipeError:
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # where Python sends the rest when it ends
        problem = f"The output cannot be written ({error.strerror}); what was asked for is done."
        raise Failed(problem) from error


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows as lines with columns below each other; the first row is the headings."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        _GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def moment(microseconds: int | None) -> str | None:
    """Return the time as text, such as 2026-11-22T18:30:00Z; None stays None."""
    if microseconds is None:
        return None
    return datetime.fromtimestamp(microseconds // SECOND, UTC).isoformat().replace("+00:00", "Z")
