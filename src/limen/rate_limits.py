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
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Integer, String, bindparam, case, cast, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import ClauseElement

from limen.clock import SECOND, Clock
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
        rows = {bucket.row: bucket.policy.quota for bucket in buckets}
        async with self._lanes.entered(rows):
            attempt = await self._take_in_turn(tuple(sorted(buckets, key=lambda one: one.row)))
            with self._lanes.undecided(rows):
                yield attempt

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
            self._events.emit(LimitHit(bucket.policy.name))
            raise full.refusal from None

    async def give_back(self, connection: AsyncConnection, attempt: Attempt) -> None:
        """Free the attempt's own slots, in the transaction of the success that earned it."""
        rows = {f"bucket{n}": bucket.row for n, bucket in enumerate(attempt.buckets)}
        await _giving_back(len(rows)).run(connection, rows | {"stamp": attempt.stamp})

    async def _take_in_turn(self, buckets: tuple[Bucket, ...]) -> Attempt:
        while True:
            try:
                if self._lanes.were_full(bucket.row for bucket in buckets):
                    await self._look(buckets)
                return await self._take(buckets)
            except _Full as full:
                self._lanes.found_full(full.rows)
                if not await self._lanes.another_decided(full.rows):
                    self._events.emit(LimitHit(full.refusal.policy))
                    raise full.refusal from None

    async def _look(self, buckets: Sequence[Bucket]) -> None:
        async with self._database.read() as connection:
            await self._require_room(connection, buckets, self._clock())

    async def _take(self, buckets: tuple[Bucket, ...]) -> Attempt:
        now = self._clock()
        attempt = Attempt(buckets, f"{now:0{_MOMENT_WIDTH}d}-{secrets.token_hex(4)};")
        async with self._takers, self._database.write() as connection:
            taken = await self._taking(len(buckets)).run(connection, _values(attempt, now))
            admitted = set(taken.scalars())
            if refusing := [bucket for bucket in buckets if bucket.row not in admitted]:
                await self._require_room(connection, refusing, now)
        return attempt

    def _taking(self, buckets: int) -> Prepared:
        if buckets not in self._statements:
            statement = _take_statement(self._database.insert(rate_limits), buckets)
            self._statements[buckets] = Prepared(statement)
        return self._statements[buckets]

    async def _require_room(
        self, connection: AsyncConnection, buckets: Sequence[Bucket], now: int
    ) -> None:
        """Raise _Full, with the policy that asks for the longest wait, if one of them is full."""
        policies = {bucket.row: bucket.policy for bucket in buckets}
        found = await connection.execute(
            select(rate_limits.c.bucket, rate_limits.c.stamps).where(
                rate_limits.c.bucket.in_(policies)
            )
        )
        waits = {row: _wait(stamps, policies[row], now) for row, stamps in found}
        if full := {row: wait for row, wait in waits.items() if wait > 0}:
            longest = max(full, key=full.__getitem__)
            raise _Full([*full], _refusal(policies[longest], full[longest]))


class _Full(Exception):
    """Buckets are full; it rolls back the transaction that found them so."""

    def __init__(self, rows: list[str], refusal: TooManyAttempts) -> None:
        super().__init__()
        self.rows = rows
        self.refusal = refusal


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
