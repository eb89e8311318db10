"""What access tokens must be refused before they expire, and how every process comes to know.

An access token is good by itself until its `exp`. To end it sooner, whatever voids it writes one
row into a sequenced log, in the transaction of the change itself:

    session    subject is the digest of a `sid`        this session has ended
    account    subject is a `user_id`, value a `cv`    tokens of a lower credential version are void
    keys       nothing                                 the signing keys changed: read them anew

The log that goes out of this process names nobody: a `user_id` becomes its digest when it is read.

`seq` is counted in a row that the transaction holds until it commits, so the order of the numbers
is the order of the commits, and whoever has read up to `seq` has missed nothing. Every process
keeps the live rows in memory (`limen.verify.revocations`), so that a guarded request asks no
database. The process that made the change knows at once; the others pull what is newer than they
have, once a second. At start the whole log is read, so a restart resurrects nothing. A log in which
the last entry that was pulled is another one, or gone, may be that of a restored database, or of a
standby that took over, and as long as the old one: it is read from the beginning.

A row can go when the last token it could refuse has expired. Sessions are ended by the processes
that issue tokens, which know how long theirs live. Accounts are voided from the command line too,
perhaps without the settings of the server: their rows are kept for as long as any token may live.
"""

import asyncio
import json
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from operator import attrgetter
from typing import NamedTuple, Self

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from limen.clock import SECOND, Clock
from limen.database.engine import Database
from limen.database.prepared import Prepared
from limen.database.schema import revocation_counter, revocations
from limen.events import Event, Events, Recorder
from limen.verify.elapsed import elapsed
from limen.verify.revocations import Kind, Revocation, Revocations, subject_digest
from limen.verify.verifier import MAX_LIFETIME_SECONDS

# A row outlives the tokens it refuses by this much: a clock that runs late, or is set back, takes
# a token for good that has expired, and must not take it for one that was never revoked.
MARGIN = 15 * 60


_COUNTED = Prepared(select(revocation_counter.c.seq))
_NEWER = Prepared(
    select(revocations).where(revocations.c.seq >= bindparam("first")).order_by(revocations.c.seq)
)


class _Row(NamedTuple):
    """A row of the table, in the order of its columns."""

    seq: int
    kind: Kind
    subject: str
    value: int
    expires_at: int


class Published(NamedTuple):
    """An entry of the log as this process has it: obeyed here, and written for the feed."""

    seq: int
    revocation: Revocation
    written: bytes

    @classmethod
    def of(cls, revocation: Revocation) -> Self:
        return cls(revocation.seq, revocation, json.dumps(asdict(revocation)).encode())


class Change:
    """A write transaction, with what it revokes and what happens in it.

    `events` are recorded in the transaction, and told once it is committed; `afterwards` is called
    then, too. `now` and `longest` are in seconds.
    """

    def __init__(
        self, database: Database, connection: AsyncConnection, *, now: int, longest: int
    ) -> None:
        self.connection = connection
        self._database = database
        self.revoked: list[Revocation] = []
        self.events: list[Event] = []
        self.afterwards: list[Callable[[], None]] = []
        self._now = now
        self._longest = longest

    def happened(self, *events: Event) -> None:
        """Say what has happened, if this is committed."""
        self.events.extend(events)

    async def alone(self) -> None:
        """Make every other change wait from now on, as if its statements came after this one."""
        await self.connection.execute(select(revocation_counter.c.seq).with_for_update())

    async def revoke_session(self, sid: str) -> None:
        await self._record("session", subject_digest(sid), 0, self._longest)

    async def revoke_account(self, user_id: str, *, below: int) -> None:
        """Void the account's tokens whose credential version is lower than `below`."""
        await self._record("account", user_id, below, MAX_LIFETIME_SECONDS)

    async def announce_keys(self) -> None:
        await self._record("keys", "", 0, self._longest)

    async def _record(self, kind: Kind, subject: str, value: int, lifetime: int) -> None:
        counted = await self.connection.execute(
            update(revocation_counter)
            .values(seq=revocation_counter.c.seq + 1)
            .returning(revocation_counter.c.seq)
        )
        expires_at = self._now + lifetime + MARGIN
        row = _Row(counted.scalar_one(), kind, subject, value, expires_at)
        await self.connection.execute(insert(revocations).values(row._asdict()))
        await self._database.announce(self.connection)
        self.revoked.append(_published(row))


class RevocationLog:
    """The log in the database, and this process's memory of it.

    `longest` is the lifetime of an access token, in seconds. `recorders` write down what happens,
    after everything else in the transaction. `began_anew` says that the last pull may have found
    another log: whatever else was known of the database may be outdated too.
    """

    def __init__(
        self,
        database: Database,
        memory: Revocations,
        *,
        longest: int,
        clock: Clock,
        events: Events,
        recorders: Sequence[Recorder] = (),
    ) -> None:
        self._database = database
        self._memory = memory
        self._longest = longest
        self._clock = clock
        self._events = events
        self._recorders = recorders
        self._pulling = asyncio.Lock()
        self._entries: list[Published] = []
        self._last: _Row | None = None
        self._news = asyncio.Event()
        self.began_anew = False
        self.seq = 0

    @asynccontextmanager
    async def change(self) -> AsyncIterator[Change]:
        """Run a write transaction whose revocations hold here from the moment it is committed.

        Raises:
            DatabaseUnavailable: Nothing was written, nothing is revoked, nothing has happened.
        """
        now = self._clock() // SECOND
        async with self._database.write() as connection:
            change = Change(self._database, connection, now=now, longest=self._longest)
            yield change
            for record in self._recorders:
                await record(connection, change.events)
        self._memory.apply(change.revoked)
        for event in change.events:
            self._events.emit(event)
        for step in change.afterwards:
            step()

    async def pull(self) -> list[Revocation]:
        """Read what is newer than the last pull, by whichever process, and obey it.

        Raises:
            DatabaseUnavailable: Nothing is known to have changed; the memory ages.
        """
        async with self._pulling, self._database.read() as connection:
            began = elapsed()
            counted = (await _COUNTED.row(connection, {})).seq
            rows = await _read(connection, self._last.seq if self._last else 0)
            self.began_anew = self._last is not None and self._last not in rows
            if self.began_anew:
                rows = await _read(connection, 0)
            pulled = [_published(row) for row in rows if row != self._last]
            self._memory.apply(pulled)
            self._memory.synced(ago=elapsed() - began)
            self._entries = [] if self.began_anew else self._entries
            self._entries.extend(map(Published.of, pulled))
            self._last = rows[-1] if rows else None
            self.seq = max(counted, self._last.seq if self._last else 0)
            if pulled or self.began_anew:
                self._tell()
            return pulled

    async def news(self, seconds: float) -> None:
        """Wait until a pull has brought something, at most so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    def newer(self, after: int, at_most: int) -> list[Published]:
        """Return the first of the living entries that were pulled and have a higher number."""
        first = bisect_right(self._entries, after, key=attrgetter("seq"))
        return self._entries[first : first + at_most]

    def forget_expired(self) -> None:
        """Drop from memory what no living token needs."""
        now = self._clock() // SECOND
        self._memory.expire(now)
        self._entries = [entry for entry in self._entries if entry.revocation.expires_at > now]

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


async def _read(connection: AsyncConnection, first: int) -> list[_Row]:
    return [_Row(*row) for row in await _NEWER.rows(connection, {"first": first})]


def _published(row: _Row) -> Revocation:
    subject = subject_digest(row.subject) if row.kind == "account" else row.subject
    return Revocation(row.seq, row.kind, subject, row.value, row.expires_at)
