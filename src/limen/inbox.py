"""The development inbox: mail that was not sent, kept where its developer can read it.

Where no mail server is set, and limen is reached on this machine alone, letters count as delivered
when they are written, and their content stays sealed in the outbox until it is swept, some days
later. `/dev/inbox` shows them (`limen.api.inbox`); nothing else does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select

from limen.database.engine import Database
from limen.database.schema import outbox
from limen.mail_delivery import MailDelivery, Written
from limen.outbox import opened
from limen.sealing import Seal

SHOWN = 100


@dataclass(frozen=True, slots=True)
class Kept:
    """A letter in the inbox: which message it is, when it would have gone, and all of it."""

    id: str
    message: str
    sent_at: int
    written: Written


class Inbox:
    """Reads the letters that were kept."""

    def __init__(self, database: Database, seal: Seal, delivery: MailDelivery) -> None:
        self._database = database
        self._seal = seal
        self._delivery = delivery

    async def newest(self) -> list[Kept]:
        """Return the newest letters, the newest first.

        Raises:
            DatabaseUnavailable: They cannot be read.
        """
        newest = _KEPT.order_by(outbox.c.finished_at.desc(), outbox.c.created_at.desc())
        async with self._database.read() as connection:
            rows: Sequence[Row[Any]] = (await connection.execute(newest.limit(SHOWN))).all()
        return [kept for row in rows if (kept := self._opened(row))]

    async def find(self, letter: str) -> Kept | None:
        """Return one letter, or None: there is none of this id.

        Raises:
            DatabaseUnavailable: It cannot be read.
        """
        async with self._database.read() as connection:
            found = await connection.execute(_KEPT.where(outbox.c.id == letter))
            row = found.one_or_none()
        return None if row is None else self._opened(row)

    def _opened(self, row: Row[Any]) -> Kept | None:
        found = opened(row, self._seal)
        if found is None:
            return None  # sealed under a secret that has gone
        return Kept(row.id, row.subject, row.finished_at, self._delivery.write(found.letter))


_KEPT = select(outbox).where(
    outbox.c.kind == "mail", outbox.c.outcome == "delivered", outbox.c.sealed.is_not(None)
)
