"""The audit trail: what happened, who did it, from where, and with what outcome.

An entry is written by the events of a change, in the transaction of that change: what is in the
trail has happened, and what has happened is in the trail. It is put down as pending, which costs
one insert and keeps nobody waiting. Within about a second it is bound into the chain: numbered
without gaps, and bound to the entry before (`limen.audit_chain`). From then on an entry that is
changed, removed, added or moved breaks the chain at its place (`limen.audit_verification`).

Were the chain made in the transactions of the changes, each would wait for the one before to be
committed, and a flood of sign-ins would slow down signing out. So one process at a time makes it,
whichever comes first: it holds the row of the head until it commits.

Entries go from the beginning only, and the chain says so itself: in one transaction some are
removed, and an entry is added that attests where the trail begins now.
"""

import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import count, takewhile
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, delete, desc, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from limen import events as what
from limen import origin
from limen.audit_chain import (
    BEGINNING,
    DOUBTED,
    FORGED,
    PRUNED,
    SAID,
    SECRET_CHANGED,
    Attestation,
    Entry,
    Link,
    as_json,
    follow,
    waiting,
)
from limen.audit_personal import actor, commitment, personal_part
from limen.audit_query import AuditQuery
from limen.audit_verification import Report, beginning, verified
from limen.clock import Clock
from limen.database.engine import Database
from limen.database.prepared import Prepared
from limen.database.schema import audit, audit_head, audit_pending
from limen.rounds import Rounds

# What each kind of event is called in the trail, and which of its members is the outcome. What is
# not listed is no matter of the trail.
KINDS: Final[Mapping[type[what.Event], tuple[str, str | None]]] = {
    what.Registered: ("account.registered", None),
    what.AccountChanged: ("account.changed", "change"),
    what.SignIn: ("sign_in", "outcome"),
    what.SessionEnded: ("session.ended", "reason"),
    what.PasswordUpgraded: ("password.upgraded", None),
    what.CodeIssued: ("code.issued", "purpose"),
    what.CodeRefused: ("code.refused", "purpose"),
    what.KeyCreated: ("key.created", None),
    what.KeysRetired: ("keys.retired", "how"),
    what.LetterHurried: ("letter.hurried", None),
    what.ClientCreated: ("client.created", None),
    what.ClientDeleted: ("client.deleted", None),
    what.WebhookChanged: ("webhook.changed", "change"),
}

SEALING_SECONDS = 1.0
BATCH = 500

_RECORD = Prepared(insert(audit_pending))

_logger = logging.getLogger(__name__)


class _End(NamedTuple):
    """Where the chain is to be continued, and what has to be said of that first."""

    link: Link
    says: list[dict[str, Any]]


class AuditTrail:
    """Writes and reads the trail; `keys` are the MAC keys of the root secrets, newest first."""

    def __init__(self, database: Database, keys: Sequence[bytes], clock: Clock) -> None:
        self._database = database
        self._attestation = Attestation(keys)
        self._clock = clock
        self._counter = count()
        self.rounds = Rounds(SEALING_SECONDS)

    async def record(self, connection: AsyncConnection, events: Sequence[what.Event]) -> None:
        """Put down what belongs in the trail, in the transaction in which it happens."""
        now = self._clock()
        recorded = [self._pending(event, now) for event in events if type(event) in KINDS]
        if len(recorded) > 1:
            await _RECORD.each(connection, recorded)
        elif recorded:
            _RECORD.later(connection, recorded[0])

    async def take_over(self) -> None:
        """Vouch for the end of the chain at a start, if another secret has made it.

        Both secrets are at hand then, and perhaps never again.

        Raises:
            DatabaseUnavailable: It cannot be read or written.
        """
        head = await self.head()
        if head == BEGINNING or self._attestation.age(head.digest, head.mac) == 0:
            return
        async with self._database.write() as connection:
            end = await self._end(connection)
            if end.says:
                await self._append(connection, end.says, end.link)

    async def seal(self) -> int:
        """Bind what is pending into the chain; return how many entries.

        Raises:
            DatabaseUnavailable: Some may have been bound; the others stay pending.
        """
        sealed = 0
        while taken := await self._seal_some():
            sealed += taken
        return sealed

    async def prune(self, before: int) -> int:
        """Remove some of the entries at the beginning that are not younger; return how many.

        Raises:
            DatabaseUnavailable: None has gone.
        """
        row = audit.c
        async with self._database.read() as connection:
            first = await connection.execute(select(row.at).order_by(row.seq).limit(1))
            if (at := first.scalar_one_or_none()) is None or at > before:
                return 0
        oldest = select(audit).order_by(row.seq).limit(BATCH + 1)
        async with self._database.write() as connection:
            end = await self._end(connection)
            entries = [Entry(*one) for one in await connection.execute(oldest)]
            old = [*takewhile(lambda one: one.at <= before, entries[:BATCH])]
            # A time that somebody has put back must not have us remove what he did.
            kept = entries[: len(old) + 1]
            if not follow(kept, await beginning(connection)):
                _logger.error("the beginning of the audit trail is not limen's: it is not pruned")
                return 0
            if not old:
                return 0  # another process was first
            through = Link.of(old[-1])
            await connection.execute(delete(audit).where(row.seq <= through.seq))
            begins = self._own(PRUNED, through=through.seq, digest=through.digest, mac=through.mac)
            await self._append(connection, [*end.says, begins], end.link)
        return len(old)

    async def head(self) -> Link:
        """Return where the trail ends: the anchor to note elsewhere.

        Raises:
            DatabaseUnavailable: It cannot be read.
        """
        async with self._database.read() as connection:
            return await _head(connection)

    async def entries(self, query: AuditQuery) -> list[Entry]:
        """Return a page of entries; what happened in the last second may not be bound yet.

        Raises:
            DatabaseUnavailable: They cannot be read.
        """
        async with self._database.read() as connection:
            return [Entry(*row) for row in await connection.execute(query.statement())]

    async def verify(self, *noted: Link) -> Report:
        """Walk the whole chain, and say what is the first thing in it that limen has not written.

        `noted` are anchors that were noted elsewhere: without one, nobody can tell whether the end
        was cut off together with the head.

        Raises:
            DatabaseUnavailable: It could not be read to its end.
        """
        return await verified(self._database, self._attestation, noted)

    async def _seal_some(self) -> int:
        pending = select(audit_pending.c.id).limit(1)
        async with self._database.read() as connection:
            if (await connection.execute(pending)).first() is None:
                return 0  # mostly so: then nobody is kept from writing
        async with self._database.write() as connection:
            end = await self._end(connection)
            if taken := await _taken(connection):
                await self._append(connection, [*end.says, *self._authentic(taken)], end.link)
        return len(taken)

    async def _end(self, connection: AsyncConnection) -> _End:
        """Hold the end of the chain, and look whether it is as limen left it."""
        head = await _head(connection, alone=True)
        row = audit.c
        newest = select(row.seq, row.digest, row.mac).order_by(desc(row.seq)).limit(1)
        found = (await connection.execute(newest)).one_or_none()
        last = BEGINNING if found is None else Link(*found)
        if head == last == BEGINNING:
            return _End(head, [])
        age = self._attestation.age(head.digest, head.mac) if head == last else None
        if age is None:
            _logger.error("the end of the audit trail is not limen's: run 'limen audit verify'")
            return _End(max(head, last), [self._own(DOUBTED, "failure")])
        return _End(head, [self._own(SECRET_CHANGED)] if age else [])

    def _authentic(self, taken: Sequence[Row[Any]]) -> list[dict[str, Any]]:
        """Return what was written by limen, and one entry more if some was not."""
        ours = []
        for row in sorted(taken, key=lambda one: (one.at, one.id)):
            said: dict[str, Any] = dict(zip(SAID, row[1:-1], strict=True))
            attested = self._attestation.age(waiting(row.id, said), row.mac) is not None
            if attested and commitment(row.personal) == row.commitment:
                ours.append(said)
        if forged := len(taken) - len(ours):
            _logger.error("audit entries that limen did not write are left out")
            ours.append(self._own(FORGED, "failure", rows=forged))
        return ours

    async def _append(
        self, connection: AsyncConnection, said: Sequence[Mapping[str, Any]], to: Link
    ) -> None:
        entries = self._attestation.append(said, to)
        await connection.execute(insert(audit), [entry._asdict() for entry in entries])
        await connection.execute(update(audit_head).values(Link.of(entries[-1])._asdict()))

    def _pending(self, event: what.Event, now: int) -> dict[str, Any]:
        kind, outcome = KINDS[type(event)]
        detail: dict[str, Any] = {
            name: value for name, value in asdict(event).items() if value is not None
        }
        said = self._said(
            now,
            kind,
            detail.pop(outcome) if outcome else "success",
            origin.present(),
            user_id=detail.pop("user_id", None),
            sid=detail.pop("sid", None),
            detail=detail,
        )
        # In the order in which it happened, where the clock does not tell.
        name = f"{now:013x}{next(self._counter) & 0xFFFFFFFF:08x}{secrets.token_hex(6)[:11]}"
        return {"id": name, **said, "mac": self._attestation.mac(waiting(name, said))}

    def _own(self, kind: str, outcome: str = "success", **detail: object) -> dict[str, Any]:
        return self._said(self._clock(), kind, outcome, origin.LIMEN, detail=detail)

    def _said(
        self,
        at: int,
        kind: str,
        outcome: str,
        where: origin.Origin,
        *,
        detail: Mapping[str, object],
        user_id: str | None = None,
        sid: str | None = None,
    ) -> dict[str, Any]:
        personal = personal_part(where)
        values = (at, kind, outcome, user_id, sid, actor(where), as_json(detail), personal)
        return dict(zip(SAID, (*values, commitment(personal)), strict=True))


async def _head(connection: AsyncConnection, *, alone: bool = False) -> Link:
    row = audit_head.c
    head = select(row.seq, row.digest, row.mac)
    return Link(*(await connection.execute(head.with_for_update() if alone else head)).one())


async def _taken(connection: AsyncConnection) -> Sequence[Row[Any]]:
    """Take the oldest of the pending entries out; more than one batch waits for the next."""
    row = audit_pending.c
    oldest = select(row.id).order_by(row.at, row.id).limit(BATCH)
    taking = delete(audit_pending).where(row.id.in_(oldest))
    columns = (row.id, *(row[name] for name in SAID), row.mac)
    rows: Sequence[Row[Any]] = (await connection.execute(taking.returning(*columns))).all()
    return rows
