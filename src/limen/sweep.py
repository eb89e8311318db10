"""Sweeping: expired rows go, in small batches.

Only what can no longer matter is swept: sessions that nobody can refresh, revocations that no
living token needs, attempts that have left their window, keys whose last token has expired. Each
table is walked in the order of its primary key, one batch a transaction, so that a sweep holds
nobody up and needs no index on columns that change.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Delete, Select, Table, delete, func, or_, select

from limen.clock import SECOND, Clock
from limen.database.engine import Database
from limen.database.schema import rate_limits, revocations, sessions, signing_keys
from limen.events import Events, Swept

BATCH = 500
PAUSE = 0.05  # seconds between batches, for others to write in

# An ended session is kept for a day, so that its end can be explained.
KEPT_AFTER_END = 86400 * SECOND


class Sweep:
    """Removes expired rows. `idle` is the lifetime of a refresh token, in seconds."""

    def __init__(self, database: Database, *, idle: int, clock: Clock, events: Events) -> None:
        self._database = database
        self._idle = idle * SECOND
        self._clock = clock
        self._events = events

    async def once(self) -> int:
        """Sweep every table once; return how many rows went.

        Raises:
            DatabaseUnavailable: Some batches may have gone.
        """
        return sum([await self._table(table, gone) for table, gone in self._expired().items()])

    async def waiting(self) -> dict[str, int]:
        """Return how many rows of each table could go now.

        Raises:
            DatabaseUnavailable: They cannot be counted.
        """
        counted = {}
        async with self._database.read() as connection:
            for table, gone in self._expired().items():
                rows = select(func.count()).select_from(table).where(gone)
                counted[table.name] = (await connection.execute(rows)).scalar_one()
        return counted

    def _expired(self) -> Mapping[Table, ColumnElement[bool]]:
        now = self._clock()
        session = sessions.c
        return {
            sessions: or_(
                session.abs_exp <= now,
                session.rotated_at <= now - self._idle,
                session.ended_at <= now - KEPT_AFTER_END,
            ),
            revocations: revocations.c.expires_at <= now // SECOND,
            rate_limits: rate_limits.c.expires_at <= now,
            signing_keys: signing_keys.c.retires_at <= now,
        }

    async def _table(self, table: Table, gone: ColumnElement[bool]) -> int:
        (key,) = table.primary_key.columns
        batch = select(key, gone.label("gone")).order_by(key).limit(BATCH)
        removed, after = 0, batch
        while rows := await self._read(after):
            if expired := [value for value, is_gone in rows if is_gone]:
                removed += await self._remove(delete(table).where(key.in_(expired), gone))
                await asyncio.sleep(PAUSE)
            after = batch.where(key > rows[-1][0])
        if removed:
            self._events.emit(Swept(table.name, removed))
        return removed

    async def _read(self, batch: Select[Any, bool]) -> Sequence[tuple[Any, bool]]:
        async with self._database.read() as connection:
            return [(key, gone) for key, gone in await connection.execute(batch)]

    async def _remove(self, expired: Delete) -> int:
        async with self._database.write() as connection:
            return (await connection.execute(expired)).rowcount
