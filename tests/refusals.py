"""What every refusal must look like, and what must not be in it."""

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limen.database.schema import metadata

# Put into every field, name, header and path that is sent: it must come back in none.
CANARY = "canary7Qx"

MEMBERS = ("type", "title", "status", "detail", "code")


def problem(
    status: int, headers: Mapping[str, str], body: bytes, *, expected: set[int]
) -> dict[str, Any]:
    """Return the problem document of an answer, which must be one of these statuses."""
    text = body.decode()
    assert status in expected, f"{status} instead of {sorted(expected)}: {text}"
    assert headers["content-type"] == "application/problem+json"
    assert headers["cache-control"] == "no-store"
    assert headers["x-request-id"]
    document: dict[str, Any] = json.loads(text)
    assert tuple(document)[: len(MEMBERS)] == MEMBERS
    assert document["status"] == status
    assert document["type"] == f"urn:limen:problem:{document['code']}"
    no_echo(headers, text)
    return document


def no_echo(headers: Mapping[str, str], text: str) -> None:
    shown = (text + str(dict(headers))).lower()
    for trace in (CANARY.lower(), "traceback", ".py", "sqlalchemy", "sqlite", "pydantic"):
        assert trace not in shown


def rows_in_file(database: Path) -> dict[str, int]:
    """Return how many rows each table of a SQLite file has, read beside limen's own code.

    Entries of the trail count once, whether they are bound into it by now or pending.
    """
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        connection.execute("BEGIN")  # one look at all tables
        counts = {
            name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608
            for name in metadata.tables
        }
        counts["audit"] += counts.pop("audit_pending")
        return counts
    finally:
        connection.close()
