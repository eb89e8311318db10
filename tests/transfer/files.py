"""Files of accounts, and importing them into a running limen."""

import io
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from limen.database.schema import accounts
from limen.limen import Limen
from limen.stored_hashes.argon2 import argon2_hash
from limen.transfer.importing import AccountImport, Report
from limen.transfer.records import Row
from tests.conftest import CHEAPEST
from tests.people import PASSWORD
from tests.stored import rows

VECTORS = Path(__file__).parents[1] / "vectors"
FASTAPI_USERS = VECTORS / "fastapi_users" / "users.db"
DJANGO = VECTORS / "django" / "users.db"
DJANGO_DUMP = VECTORS / "django" / "users.json"

CHEAP = "$argon2id$v=19$m=8,t=1,p=1$"  # what the tests' limen makes
HASH = argon2_hash(PASSWORD, CHEAPEST)


async def imported(
    limen: Limen, found: Iterable[Row], *, dry_run: bool = False, **options: Any
) -> Report:
    features = limen.features
    work = AccountImport(
        features.database, features.log, features.emails, clock=limen._clock, **options
    )
    return await work.run(found, dry_run=dry_run)


async def stored(limen: Limen) -> dict[str, Any]:
    """Return the rows of all accounts by their addresses."""
    return {row.email: row for row in await rows(limen, accounts)}


def lines(*texts: str) -> io.BytesIO:
    return io.BytesIO("".join(f"{text}\n" for text in texts).encode())


def copied(source: Path, folder: Path, *statements: str) -> Path:
    """Return a copy of a SQLite file that was changed by these statements."""
    copy = folder / source.name
    copy.write_bytes(source.read_bytes())
    with closing(sqlite3.connect(copy)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return copy
