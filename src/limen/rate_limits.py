"""Limits on attempts, exact: "5 per 15m" admits five in any fifteen minutes, never a sixth.

Fixed windows admit ten around their edge, and sliding counters nine; so each bucket remembers the
moments of its last attempts themselves, newest first, in one row:

    stamps    1763832000000000-9f3a61c2;1763831990000000-00be17d4;...

An attempt is admitted if fewer than `quota` stamps are younger than the window, that is, if the
stamp in place `quota` has left it. One statement asks that of every bucket and writes the new
stamps; if a bucket refuses, the transaction is rolled back, so a refusal writes nothing and does
not lengthen the wait. The slot is taken before the password is looked at, so that a thousand
guesses at once reach the hash five times. A success gives back its own slot and clears nothing
else, so that nobody's success wipes out somebody else's failures.

Whoever signs in twenty times at once with the right password must not be refused by his own
attempts that are still being checked: in this process, attempts of one bucket wait for each other
(`limen.lanes`). Of a crowd at a full bucket most only look, and keep no writer from its work. No
database, no attempt: limits fail closed.
"""

import asyncio
import hmac
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Integer, String, bindparam, case, cast, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import ClauseElement

from limen.clock import SECOND, Clock
from limen.database.connections import UnexpectedRows
from limen.database.engine import Database
from limen.database.prepared import Prepared
from limen.database.schema import rate_limits
from limen.errors import TooManyAttempts
from limen.events import Events, LimitHit
from limen.lanes import Lanes

# A stamp is the moment in microseconds, and a random part that tells apart equal moments. Its
# width is fixed, so that stamps can be found by their place.
_MOMENT_WIDTH = 16
_STAMP_WIDTH = _MOMENT_WIDTH + len("-9f3a61c2;")


# How many attempts write at once. The others of a flood wait here, and not in the queue for the
# database, where everybody else would have to wait behind them.
TAKERS = 4


@dataclass(frozen=True, slots=True)
class Policy:
    """At most `quota` attempts in any `window` seconds."""

    name: str
    quota: int
    window: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is counted together under a policy, such as one account; `row` names it opaquely."""

    policy: Policy
    row: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """An admitted attempt: the slot it took in each of its buckets."""

    buckets: tuple[Bucket, ...]
    stamp: str


class RateLimits:
    """Takes slots and gives them back.

    `key` hides what is counted from readers of the database; `patience` is how long an attempt
    waits for others of its buckets that are in flight, in seconds.
    """

    def __init__(
        self, database: Database, *, key: bytes, patience: float, clock: Clock, events: Events
    ) -> None:
        self._database = database
        self._key = key
        self._clock = clock
        self._events = events
        self._lanes = Lanes(patience)
        self._takers = asyncio.Semaphore(TAKERS)
        self._statements: dict[int, Prepared] = {}

    def bucket(self, policy: Policy, subject: str) -> Bucket:
        """Return the bucket of a subject, which may be any text: an address, an account."""
        digest = hmac.digest(self._key, f"{policy.name}:{subject}".encode(), "sha256")
        return Bucket(policy, f"{policy.name}:{digest[:16].hex()}")

    @asynccontextmanager
    async def attempt(self, *buckets: Bucket) -> AsyncIterator[Attempt]:
        """Take a slot in every bucket, or in none, for what is done in the block.

        Raises:
            TooManyAttempts: A bucket is full; nothing was written.
            Busy: Too many of the same bucket are in flight.
            DatabaseUnavailable: Nothing was admitted.
        """
        async with self.turn(*buckets) as turn, turn as attempt:
            yield attempt

    @asynccontextmanager
    async def turn(self, *buckets: Bucket) -> AsyncIterator[AbstractAsyncContextManager[Attempt]]:
        """Wait until few enough of these buckets are in flight; give the attempt, to be entered.

        Raises:
            Busy: Too many of the same bucket are in flight.
        """
        async with self._lanes.entered({one.row: one.policy.quota for one in buckets}):
            yield self._attempted(tuple(sorted(buckets, key=lambda one: one.row)))

    async def require_room(self, bucket: Bucket) -> None:
        """Refuse a full bucket without a write transaction; nothing is taken.

        It is for attempts that are never given back: a slot that comes free is not waited for.

        Raises:
            TooManyAttempts: It is full.
            DatabaseUnavailable: Nobody can tell.
        """
        try:
            await self._look([bucket])
        except _Full as full:
            raise self._refused(full) from None

    def give_back(self, connection: AsyncConnection, attempt: Attempt) -> None:
        """Free the attempt's own slots, in the transaction of the success that earned it."""
        rows = {f"bucket{n}": bucket.row for n, bucket in enumerate(attempt.buckets)}
        _giving_back(len(rows)).later(connection, rows | {"stamp": attempt.stamp})

    @asynccontextmanager
    async def _attempted(self, buckets: tuple[Bucket, ...]) -> AsyncIterator[Attempt]:
        attempt = await self._take_in_turn(buckets)
        with self._lanes.undecided([bucket.row for bucket in buckets]):
            yield attempt

    async def _take_in_turn(self, buckets: tuple[Bucket, ...]) -> Attempt:
        rows = [bucket.row for bucket in buckets]
        looks = self._lanes.were_full(rows)
        while True:
            decisions = self._lanes.next_decisions(rows)
            try:
                if looks:
                    await self._look(buckets)
                return await self._take(buckets)
            except UnexpectedRows:
                looks = True  # which of them is full, and for how long?
            except _Full as full:
                self._lanes.found_full(full.rows)
                if not await self._lanes.another_decided({r: decisions[r] for r in full.rows}):
                    raise self._refused(full) from None

    def _refused(self, full: "_Full") -> TooManyAttempts:
        self._events.emit(LimitHit(full.refusal.policy))
        return full.refusal

    async def _look(self, buckets: Sequence[Bucket]) -> None:
        """Raise _Full if one of them is, with a statement that only reads."""
        by_row, now, row = {bucket.row: bucket for bucket in buckets}, self._clock(), rate_limits.c
        asked = select(row.bucket, row.stamps).where(row.bucket.in_(by_row))
        async with self._database.read() as connection:
            found = (await connection.execute(asked)).all()
        waits = {by_row[name]: _wait(stamps, by_row[name].policy, now) for name, stamps in found}
        if full := {bucket: wait for bucket, wait in waits.items() if wait > 0}:
            raise _Full(full)

    async def _take(self, buckets: tuple[Bucket, ...]) -> Attempt:
        """Take a slot in every bucket, or raise UnexpectedRows: one of them has none."""
        now = self._clock()
        attempt = Attempt(buckets, f"{now:0{_MOMENT_WIDTH}d}-{secrets.token_hex(4)};")
        taking, every = self._taking(len(buckets)), len(buckets)
        async with self._takers, self._database.write() as connection:
            taking.later(connection, _values(attempt, now), rows=every)
        return attempt

    def _taking(self, buckets: int) -> Prepared:
        if buckets not in self._statements:
            statement = _take_statement(self._database.insert(rate_limits), buckets)
            self._statements[buckets] = Prepared(statement)
        return self._statements[buckets]


class _Full(Exception):
    """These buckets are full, for so long."""

    def __init__(self, waits: Mapping[Bucket, int]) -> None:
        super().__init__()
        longest = max(waits, key=waits.__getitem__)
        self.rows = [bucket.row for bucket in waits]
        self.refusal = _refusal(longest.policy, waits[longest])


@cache
def _giving_back(buckets: int) -> Prepared:
    row = rate_limits.c.bucket
    named = [bindparam(f"bucket{n}", type_=String) for n in range(buckets)]
    locked = select(row).where(row.in_(named)).order_by(row)  # in the order of _take: no deadlock
    without = func.replace(rate_limits.c.stamps, bindparam("stamp", type_=String), "")
    changed = update(rate_limits).where(row.in_(locked.with_for_update()))
    return Prepared(changed.values(stamps=without))


def _values(attempt: Attempt, now: int) -> dict[str, object]:
    """Return the parameters of `_take_statement`."""
    values: dict[str, object] = {"stamp": attempt.stamp, "now": now}
    for n, bucket in enumerate(attempt.buckets):
        period = bucket.policy.window * SECOND
        values |= {f"bucket{n}": bucket.row, f"quota{n}": bucket.policy.quota}
        values |= {f"period{n}": period, f"expires_at{n}": now + period}
    return values


def _take_statement(inserting: Any, buckets: int) -> ClauseElement:
    stamp = bindparam("stamp", type_=String)
    statement = inserting.values(
        [
            {
                "bucket": bindparam(f"bucket{n}", type_=String),
                "stamps": stamp,
                "quota": bindparam(f"quota{n}", type_=Integer),
                "period": bindparam(f"period{n}", type_=BigInteger),
                "expires_at": bindparam(f"expires_at{n}", type_=BigInteger),
            }
            for n in range(buckets)
        ]
    )
    new, old = statement.excluded, rate_limits.c
    decisive = func.substr(old.stamps, (new.quota - 1) * _STAMP_WIDTH + 1, _MOMENT_WIDTH)
    moment = case((decisive == "", 0), else_=cast(decisive, BigInteger))
    take: ClauseElement = statement.on_conflict_do_update(
        index_elements=[old.bucket],
        set_={
            "stamps": func.substr(new.stamps.concat(old.stamps), 1, new.quota * _STAMP_WIDTH),
            "quota": new.quota,
            "period": new.period,
            # Never earlier: after a clock was set back, older stamps are the last to leave.
            "expires_at": case(
                (old.expires_at > new.expires_at, old.expires_at), else_=new.expires_at
            ),
        },
        where=moment <= bindparam("now", type_=BigInteger) - new.period,
    ).returning(old.bucket)
    return take


def _refusal(policy: Policy, wait: int) -> TooManyAttempts:
    return TooManyAttempts(
        policy=policy.name,
        quota=policy.quota,
        window=policy.window,
        retry_after=max(1, -(-wait // SECOND)),
    )


def _wait(stamps: str, policy: Policy, now: int) -> int:
    """Return the microseconds until the stamp in place `quota` has left the window."""
    place = (policy.quota - 1) * _STAMP_WIDTH
    decisive = stamps[place : place + _MOMENT_WIDTH]
    return int(decisive) + policy.window * SECOND - now if decisive else 0
