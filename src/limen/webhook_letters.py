"""What happens, as letters to webhooks: written in the transaction in which it happens.

It is one letter of the outbox for each event and each webhook that listens to its kind. So a
webhook is told of what was committed, and of nothing else; and at least once, as a process that
dies leaves its letters to the next. A letter holds what the event holds: identifiers, and words of
limen's own. The kinds of events are called as in the audit trail.

A sign-in must not have to ask who listens. Each process keeps that in memory, and reads it anew
every `ROUND_SECONDS`; for so long a new webhook may miss what happens. Whether a webhook wants to
be told at all is looked up when a letter is delivered, so one that was disabled or deleted gets
nothing from then on.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final, NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from limen.audit import KINDS
from limen.database.engine import Database
from limen.database.schema import outbox, webhooks
from limen.events import Event
from limen.outbox import Outbox
from limen.rounds import Rounds

ROUND_SECONDS: Final = 2.0
USEFUL_SECONDS: Final = 86400  # a day later nobody waits for it any more
MOST_SHOWN: Final = 100


class WebhookLetter(NamedTuple):
    """What has become of a letter; `due_at` is its next try, None when it is done with."""

    id: str
    target: str
    subject: str
    outcome: str
    attempts: int
    created_at: int
    due_at: int | None
    finished_at: int | None
    answer: str | None


class WebhookLetters:
    """Puts what happens into the outbox, for those who listen."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox
        self._listening: dict[str, list[str]] = {}
        self.rounds = Rounds(ROUND_SECONDS)

    async def record(self, connection: AsyncConnection, events: Sequence[Event]) -> None:
        """Put a letter into the outbox for each event and each webhook that listens to its kind."""
        for event in events:
            kind, _ = KINDS.get(type(event), ("", None))
            for webhook in self._listening.get(kind, ()):
                data = {name: value for name, value in asdict(event).items() if value is not None}
                await self._outbox.write(
                    connection,
                    "webhook",
                    kind,
                    data,
                    user_id=data.get("user_id"),
                    target=webhook,
                    useful_for=USEFUL_SECONDS,
                )

    async def refresh(self) -> None:
        """Read who listens to what.

        Raises:
            DatabaseUnavailable: Those that were known go on.
        """
        enabled = select(webhooks.c.id, webhooks.c.kinds).where(webhooks.c.disabled_at.is_(None))
        listening: dict[str, list[str]] = {}
        async with self._database.read() as connection:
            for webhook, kinds in await connection.execute(enabled):
                for kind in kinds.split(" "):
                    listening.setdefault(kind, []).append(webhook)
        self._listening = listening

    async def newest(self, webhook: str | None = None) -> list[WebhookLetter]:
        """Return what has become of the newest letters, to one webhook or to all.

        Raises:
            DatabaseUnavailable: They cannot be read.
        """
        columns = [outbox.c[name] for name in WebhookLetter._fields]
        newest = select(*columns).where(outbox.c.kind == "webhook")
        if webhook is not None:
            newest = newest.where(outbox.c.target == webhook)
        ordered = newest.order_by(outbox.c.created_at.desc(), outbox.c.id).limit(MOST_SHOWN)
        async with self._database.read() as connection:
            return [WebhookLetter(*row) for row in await connection.execute(ordered)]
