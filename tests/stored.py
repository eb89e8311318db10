"""What the database holds, read beside limen's own code."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Row, Table, select

from limen.database.schema import rate_limits
from limen.limen import Limen


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


@contextmanager
def moved_away(limen: Limen) -> Iterator[None]:
    """Take the database's file away for the length of the block."""
    path = limen.features.database.path
    elsewhere = path.with_suffix(".away")
    path.rename(elsewhere)
    try:
        yield
    finally:
        elsewhere.rename(path)
