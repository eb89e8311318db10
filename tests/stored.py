"""What the database holds, read beside limen's own code."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Row, Table, select

from limen.database.address import sqlite_path
from limen.database.schema import metadata, rate_limits
from limen.limen import Limen
from tests.postgresql import closed


async def rows(limen: Limen, table: Table) -> Sequence[Row[Any]]:
    """Return every row of a table, in the order of its primary key."""
    async with limen.features.database.read() as connection:
        found = await connection.execute(select(table).order_by(*table.primary_key.columns))
        return found.all()


async def slots_taken(limen: Limen) -> dict[str, int]:
    """Return how many slots are taken in the buckets of each limit together, by its name."""
    taken: dict[str, int] = {}
    for row in await rows(limen, rate_limits):
        policy = row.bucket.partition(":")[0]
        taken[policy] = taken.get(policy, 0) + row.stamps.count(";")
    return taken


async def row_counts(limen: Limen) -> dict[str, int]:
    """Return how many rows each table has; entries of the trail count once, bound or pending."""
    await limen.features.audit.seal()  # or what is bound meanwhile were counted twice
    counts = {table.name: len(await rows(limen, table)) for table in metadata.sorted_tables}
    counts["audit"] += counts.pop("audit_pending")
    return counts


async def everything(limen: Limen) -> bytes:
    """Return all that is stored: the files as they lie there, or every value of every row."""
    if path := sqlite_path(limen.settings.database_url):
        files = path.parent.glob(f"{path.name}*")
        return b"".join(file.read_bytes() for file in files)
    values = [
        value
        for table in metadata.sorted_tables
        for row in await rows(limen, table)
        for value in row
    ]
    return b"\n".join(one if isinstance(one, bytes) else str(one).encode() for one in values)


@asynccontextmanager
async def aged(limen: Limen, seconds: float) -> AsyncIterator[None]:
    """Let the memory of revocations be so many seconds old, and not renewed meanwhile."""
    async with limen.features.log._pulling:
        limen._memory.revocations.synced(ago=seconds)
        yield


def disk_error(limen: Limen) -> Exception:
    """Return an error as the driver of this database would raise it."""
    return limen.features.database._failures[-1]("disk I/O error")


@contextmanager
def moved_away(limen: Limen) -> Iterator[None]:
    """Take the database away for the length of the block: its file, or all connections to it."""
    path = sqlite_path(limen.settings.database_url)
    with closed(limen.settings.database_url) if path is None else _renamed(path):
        yield


@contextmanager
def _renamed(path: Path) -> Iterator[None]:
    elsewhere = path.with_suffix(".away")
    path.rename(elsewhere)
    try:
        yield
    finally:
        elsewhere.rename(path)
