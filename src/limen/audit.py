"""The audit trail: what happened, who did it, from where, and with what outcome.

An entry is written by the events of a change, in the transaction of that change: what is in the
trail has happened, and what has happened is in the trail. It is put down as pending, which costs
one insert and keeps nobody waiting. Within about a second it is bound into the chain: numbered
without gaps, and sealed with a MAC over itself and over the MAC of the one before:

    mac(n) = HMAC(key, [n, at, kind, outcome, user_id, sid, actor, detail, commitment, mac(n - 1)])

so that from then on an entry that is changed, removed, added or moved breaks the chain at its
place, for everybody who lacks the root secret. What was cut off at the end is seen by comparing
with a head that was noted elsewhere.

Addresses of people must be erasable without breaking the chain. So the chain holds only a
commitment to them, the digest of a text that has a random salt in it; erasing the text takes
everything away that the digest could be compared with.

Were the chain made in the transactions of the changes, each would wait for the one before to be
committed, and a flood of sign-ins would slow down signing out. So one process at a time makes it,
whichever comes first: it holds the row of the head until it commits.
"""

import hashlib
import hmac
import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from operator import attrgetter
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from limen import events as what
from limen import origin
from limen.clients import device_name
from limen.clock import Clock
from limen.database.engine import Database
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
}

SEALING_SECONDS = 1.0
BATCH = 500


class Entry(NamedTuple):
    """An entry, in the order of the columns; `detail` and `personal` are JSON objects."""

    seq: int
    at: int
    kind: str
    outcome: str
    user_id: str | None
    sid: str | None
    actor: str
    detail: str
    personal: str | None
    commitment: str
    mac: str


_PENDING = Entry._fields[1:-1]  # what an entry is before it has a number and a MAC


class AuditTrail:
    """Writes the trail; `keys` are the MAC keys of the root secrets, newest first."""

    def __init__(self, database: Database, keys: Sequence[bytes], clock: Clock) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self.rounds = Rounds(SEALING_SECONDS)

    async def record(self, connection: AsyncConnection, events: Sequence[what.Event]) -> None:
        """Put down what belongs in the trail, in the transaction in which it happens."""
        if recorded := [self._pending(event) for event in events if type(event) in KINDS]:
            await connection.execute(insert(audit_pending).values(recorded))

    async def seal(self) -> int:
        """Bind what is pending into the chain; return how many entries.

        Raises:
            DatabaseUnavailable: Some may have been bound; the others stay pending.
        """
        sealed = 0
        while count := await self._seal_some():
            sealed += count
        return sealed

    async def _seal_some(self) -> int:
        waiting = select(audit_pending.c.id).limit(1)
        async with self._database.read() as connection:
            if (await connection.execute(waiting)).first() is None:
                return 0  # mostly so: then nobody is kept from writing
        async with self._database.write() as connection:
            locked = select(audit_head).with_for_update()
            head = (await connection.execute(locked)).one()
            entries = self._chain(head.seq, head.mac, await _taken(connection))
            if entries:
                await connection.execute(insert(audit), [entry._asdict() for entry in entries])
                last = {"seq": entries[-1].seq, "mac": entries[-1].mac}
                await connection.execute(update(audit_head).values(last))
        return len(entries)

    def _chain(self, seq: int, mac: str, pending: Sequence[Row[Any]]) -> list[Entry]:
        entries: list[Entry] = []
        for row in sorted(pending, key=attrgetter("at", "id")):
            seq += 1
            entry = Entry(seq=seq, mac="", **dict(zip(_PENDING, row[1:], strict=True)))
            mac = chained(self._keys[0], entry, mac)
            entries.append(entry._replace(mac=mac))
        return entries

    def _pending(self, event: what.Event) -> dict[str, object]:
        kind, outcome = KINDS[type(event)]
        detail: dict[str, Any] = {
            name: value for name, value in asdict(event).items() if value is not None
        }
        personal = _personal(origin.present())
        return {
            "id": secrets.token_hex(16),
            "at": self._clock(),
            "kind": kind,
            "outcome": detail.pop(outcome) if outcome else "success",
            "user_id": detail.pop("user_id", None),
            "sid": detail.pop("sid", None),
            "actor": _actor(origin.present()),
            "detail": json.dumps(detail),
            "personal": personal,
            "commitment": commitment(personal),
        }


async def _taken(connection: AsyncConnection) -> Sequence[Row[Any]]:
    """Take the oldest of the pending entries out; more than one batch waits for the next."""
    row = audit_pending.c
    oldest = select(row.id).order_by(row.at, row.id).limit(BATCH)
    taking = (
        delete(audit_pending)
        .where(row.id.in_(oldest))
        .returning(row.id, *(row[name] for name in _PENDING))
    )
    rows: Sequence[Row[Any]] = (await connection.execute(taking)).all()
    return rows


def chained(key: bytes, entry: Entry, before: str) -> str:
    """Return the MAC of an entry that follows the one with the MAC `before`."""
    bound = [*entry[: Entry._fields.index("personal")], entry.commitment, before]
    return _text(hmac.digest(key, json.dumps(bound).encode(), "sha256"))


def commitment(personal: str) -> str:
    """Return what the chain holds of a personal part; it is salted, so it cannot be guessed at."""
    return _text(hashlib.sha256(personal.encode()).digest())


def _personal(where: origin.Origin) -> str:
    known = {"address": where.address, "device": device_name(where.agent)}
    told = {name: value for name, value in known.items() if value is not None}
    return json.dumps({**told, "salt": secrets.token_urlsafe(16)})


def _actor(where: origin.Origin) -> str:
    return where.actor if where.user_id is None else f"account:{where.user_id}"


def _text(digest: bytes) -> str:
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
