"""Sweeping: expired rows go, in small batches, by one worker of all.

Only what can no longer matter is swept: sessions that nobody can refresh, revocations that no
living token needs, attempts that have left their window, keys whose last token has expired. Each
table is walked in the order of its primary key, one batch a transaction, so that a sweep holds
nobody up and needs no index on columns that change.

However many workers there are, one sweeps. Who it is stands in a row for each table, with how
far the walk has come:

    name      the table             walked_to   the last key that was looked at, "" for none
    holder    who sweeps it         held_at     when he last began a round, or ended one

The holder keeps the table while he comes back to it. Whoever finds that he has not for `LEASE`
takes his place with one statement, which only one can win, and goes on where he stopped. A moment
further ahead than that comes from a clock that was wrong, and holds nobody off. A round looks at
`ROUND` batches at most, so that a table of any size is walked piece by piece, a round a minute.
Two who sweep at once, because their clocks differ, do no harm: rows that are in use are passed
over until the next walk, and what is deleted was expired when it was locked.

By a clock that is far ahead everything has expired. So whoever is further ahead of the database's
own clock than `LEASE` sweeps nothing. On SQLite both are the clock of one machine.
"""

import asyncio
import logging
import secrets
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Table, delete, extract, func, or_, select, true, update

from limen.clock import SECOND, Clock, system_clock
from limen.database.engine import Database
from limen.database.schema import (
    codes,
    outbox,
    rate_limits,
    revocations,
    sessions,
    signing_keys,
    sweeps,
)
from limen.events import Events, Swept

BATCH = 500
ROUND = 100  # batches: 50,000 rows of each table a round
PAUSE = 0.05  # seconds between batches, for others to write in

# Longer than two rounds are apart, or a busy holder would be taken for a dead one.
LEASE = 150 * SECOND

# An ended session is kept for a day, so that its end can be explained.
KEPT_AFTER_END = 86400 * SECOND

# What became of a letter is asked about for so long.
KEPT_AFTER_DELIVERY = 7 * 86400 * SECOND

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many rows of a table could go, and since when the first of them could."""

    rows: int
    since: int | None


@dataclass(frozen=True, slots=True)
class Walked:
    """How far a walk has come, "" if to the end of the table, and how many rows it removed."""

    to: str
    removed: int


# What is swept in a way of its own: given how far it had come, it says how far it has come now.
Other = Callable[[str], Awaitable[Walked]]


class Sweep:
    """Removes expired rows. `idle` is the lifetime of a refresh token, in seconds."""

    def __init__(
        self,
        database: Database,
        *,
        idle: int,
        clock: Clock,
        events: Events,
        others: Mapping[str, Other] | None = None,
    ) -> None:
        self._database = database
        self._others = others or {}
        self._idle = idle * SECOND
        self._clock = clock
        self._events = events
        self._name = secrets.token_hex(16)

    async def round(self) -> int:
        """Sweep the next piece of each table that is ours to sweep; return how many rows went.

        Raises:
            DatabaseUnavailable: Some batches may have gone.
        """
        removed = 0
        if await self._clock_is_far_ahead():
            return removed
        for name, start in (await self._held()).items():
            walked = await self._piece(name, start)
            removed += walked.removed
            if walked.to != start:
                await self._mark(name, walked.to)
        return removed

    async def once(self) -> int:
        """Sweep every table to its end, whoever else does; return how many rows went.

        Raises:
            DatabaseUnavailable: Some batches may have gone.
        """
        removed = 0
        for table in _SWEPT.values():
            removed += (await self._walk(table, "", sys.maxsize)).removed
        return removed

    async def waiting(self) -> dict[str, Waiting]:
        """Return what of each table could go now. Every row is looked at.

        Raises:
            DatabaseUnavailable: They cannot be counted.
        """
        waiting = {}
        async with self._database.read() as connection:
            for table in _SWEPT.values():
                moments = self._ends(table)
                oldest = (func.min(moment) for moment in moments)
                gone = select(func.count(), *oldest).where(self._gone(table))
                rows, *first = (await connection.execute(gone)).one()
                known = [moment for moment in first if moment is not None]
                waiting[table.name] = Waiting(rows, min(known, default=None))
        return waiting

    async def _piece(self, name: str, start: str) -> Walked:
        if (table := _SWEPT.get(name)) is not None:
            return await self._walk(table, start, ROUND)
        walked = await self._others[name](start)
        if walked.removed:
            self._events.emit(Swept(name, walked.removed))
        return walked

    def _ends(self, table: Table) -> Sequence[ColumnElement[int]]:
        """Return the moments, the first of which is a row's last."""
        return {
            sessions: (
                sessions.c.abs_exp,
                sessions.c.rotated_at + self._idle,
                sessions.c.ended_at + KEPT_AFTER_END,
            ),
            revocations: (revocations.c.expires_at * SECOND,),
            rate_limits: (rate_limits.c.expires_at,),
            signing_keys: (signing_keys.c.retires_at,),
            codes: (codes.c.expires_at,),
            outbox: (outbox.c.finished_at + KEPT_AFTER_DELIVERY,),
        }[table]

    def _gone(self, table: Table) -> ColumnElement[bool]:
        now = self._clock()
        return or_(*(moment <= now for moment in self._ends(table)))

    async def _clock_is_far_ahead(self) -> bool:
        async with self._database.read() as connection:
            if connection.dialect.name == "sqlite":
                return False
            moment = select(extract("epoch", func.clock_timestamp()))
            seconds = (await connection.execute(moment)).scalar_one()
        # Machine against machine: a test that moves its own clock has not moved the database's.
        ahead = system_clock() - int(seconds * SECOND)
        if ahead > LEASE:
            says = "this machine's clock is ahead of the database's: nothing is swept"
            _log.warning(says, extra={"seconds": ahead // SECOND})
        return ahead > LEASE

    async def _held(self) -> Mapping[str, str]:
        """Take or keep every table that nobody else sweeps; return how far each is walked."""
        now, held = self._clock(), sweeps.c
        new = self._database.insert(sweeps).values(
            [
                {"name": name, "walked_to": "", "holder": self._name, "held_at": now}
                for name in (*_SWEPT, *self._others)
            ]
        )
        take = new.on_conflict_do_update(
            index_elements=[held.name],
            set_={"holder": new.excluded.holder, "held_at": new.excluded.held_at},
            where=or_(
                held.holder == new.excluded.holder,
                held.held_at <= now - LEASE,
                held.held_at > now + LEASE,
            ),
        ).returning(held.name, held.walked_to)
        async with self._database.write() as connection:
            taken = (await connection.execute(take)).all()
        return {row.name: row.walked_to for row in taken}

    async def _walk(self, table: Table, start: str, batches: int) -> Walked:
        walked, removed = start, 0
        for _ in range(batches):
            walked, expired = await self._look(table, walked)
            if expired:
                removed += await self._remove(table, expired)
            if not walked:
                break
            await asyncio.sleep(PAUSE)
        if removed:
            self._events.emit(Swept(table.name, removed))
        return Walked(walked, removed)

    async def _look(self, table: Table, start: str) -> tuple[str, list[Any]]:
        """Return the last key of the batch, "" at the end of the table, and which have expired."""
        (key,) = table.primary_key.columns
        further = key > key.type.python_type(start) if start else true()
        batch = select(key, self._gone(table)).where(further).order_by(key).limit(BATCH)
        async with self._database.read() as connection:
            rows = (await connection.execute(batch)).all()
        last = str(rows[-1][0]) if len(rows) == BATCH else ""
        return last, [value for value, is_gone in rows if is_gone]

    async def _remove(self, table: Table, expired: Sequence[Any]) -> int:
        (key,) = table.primary_key.columns
        rows = select(key).where(key.in_(expired), self._gone(table)).order_by(key)
        # Never waiting for a row, a sweeper is in nobody's deadlock.
        free = rows.with_for_update(skip_locked=True)
        async with self._database.write() as connection:
            return (await connection.execute(delete(table).where(key.in_(free)))).rowcount

    async def _mark(self, name: str, walked_to: str) -> None:
        """Remember how far the walk has come, unless another has taken it over meanwhile."""
        ours = update(sweeps).where(sweeps.c.name == name, sweeps.c.holder == self._name)
        async with self._database.write() as connection:
            await connection.execute(ours.values(walked_to=walked_to, held_at=self._clock()))


_SWEPT = {
    table.name: table for table in (sessions, revocations, rate_limits, signing_keys, codes, outbox)
}
