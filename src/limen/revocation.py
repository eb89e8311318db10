"""What access tokens must be refused before they expire, and how every process comes to know.

An access token is good by itself until its `exp`. To end it sooner, whatever voids it writes one
row into a sequenced log, in the transaction of the change itself:

    session    subject is the digest of a `sid`        this session has ended
    account    subject is a `user_id`, value a `cv`    tokens of a lower credential version are void
    keys       nothing                                 the signing keys changed: read them anew

`seq` is counted in a row that the transaction holds until it commits, so the order of the numbers
is the order of the commits, and whoever has read up to `seq` has missed nothing. Every process
keeps the live rows in memory (`limen.verify.revocations`), so that a guarded request asks no
database. The process that made the change knows at once; the others pull what is newer than they
have, once a second. At start the whole log is read, so a restart resurrects nothing. A counter
lower than what was pulled belongs to a restored database: its log is read from the beginning.

A row can go when the last token it could refuse has expired. Sessions are ended by the processes
that issue tokens, which know how long theirs live. Accounts are voided from the command line too,
perhaps without the settings of the server: their rows are kept for as long as any token may live.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from limen.clock import SECOND, Clock
from limen.database.engine import Database
from limen.database.schema import revocation_counter, revocations
from limen.verify.revocations import Kind, Revocation, Revocations, session_digest
from limen.verify.verifier import MAX_LIFETIME_SECONDS

# A row outlives the tokens it refuses by this much, for verifiers whose clocks run late.
MARGIN = 60


class Change:
    """A write transaction, with what it revokes; `now` and `longest` are in seconds."""

    def __init__(
        self, database: Database, connection: AsyncConnection, *, now: int, longest: int
    ) -> None:
        self.connection = connection
        self._database = database
        self.revoked: list[Revocation] = []
        self._now = now
        self._longest = longest

    async def alone(self) -> None:
        """Make every other change wait from now on, as if its statements came after this one."""
        await self.connection.execute(select(revocation_counter.c.seq).with_for_update())

    async def revoke_session(self, sid: str) -> None:
        await self._record("session", session_digest(sid), 0, self._longest)

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
        revocation = Revocation(counted.scalar_one(), kind, subject, value, expires_at)
        await self.connection.execute(
            insert(revocations).values(
                seq=revocation.seq,
                kind=kind,
                subject=subject,
                value=value,
                expires_at=expires_at,
            )
        )
        await self._database.announce(self.connection)
        self.revoked.append(revocation)


class RevocationLog:
    """The log in the database, and this process's memory of it.

    `longest` is the lifetime of an access token, in seconds.
    """

    def __init__(
        self, database: Database, memory: Revocations, *, longest: int, clock: Clock
    ) -> None:
        self._database = database
        self._memory = memory
        self._longest = longest
        self._clock = clock
        self._pulled = 0

    @asynccontextmanager
    async def change(self) -> AsyncIterator[Change]:
        """Run a write transaction whose revocations hold here from the moment it is committed.

        Raises:
            DatabaseUnavailable: Nothing was written, nothing is revoked.
        """
        now = self._clock() // SECOND
        async with self._database.write() as connection:
            change = Change(self._database, connection, now=now, longest=self._longest)
            yield change
        self._memory.apply(change.revoked)

    async def pull(self) -> list[Revocation]:
        """Read what is newer than the last pull, by whichever process, and obey it.

        Raises:
            DatabaseUnavailable: Nothing is known to have changed; the memory ages.
        """
        async with self._database.read() as connection:
            counted = (await connection.execute(select(revocation_counter.c.seq))).scalar_one()
            after = self._pulled if self._pulled <= counted else 0
            newer = select(revocations).where(revocations.c.seq > after)
            rows = await connection.execute(newer.order_by(revocations.c.seq))
        pulled = [Revocation(*row) for row in rows]
        self._memory.apply(pulled)
        self._memory.synced()
        self._pulled = pulled[-1].seq if pulled else after
        return pulled

    def forget_expired(self) -> None:
        """Drop from memory what no living token needs."""
        self._memory.expire(self._clock() // SECOND)
