"""The outbox: what must leave the house, written in the transaction that causes it.

A mail that is sent inside a request makes it slow, tells by its time who has an account, and is
lost or sent in vain when the transaction fails. So a change only puts a letter here:

    mail       one message to one mailbox
    webhook    one event to one listener
    request    what a stranger asked for: looked at afterwards, so that asking takes the same
               time for everybody, whoever has an account

and it is taken out by whichever process comes first. Taking a letter puts its next try off for a
minute; a process that dies in the middle leaves it to the next one. So a letter is delivered at
least once, and its `id` tells receivers which they have seen. A try that fails is repeated, later
and later, until the letter has become useless; then it is given up, and said to be. Each kind has
rounds of its own, so that a mail server that hangs delays mail alone.

The content is sealed, as it holds codes and addresses, and goes when the letter is done; the row
stays for a while as the record of what became of it.
"""

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from limen import origin
from limen.clock import SECOND, Clock
from limen.database.engine import Database
from limen.database.schema import outbox
from limen.errors import DatabaseUnavailable
from limen.events import Events, LetterKind, LetterOutcome, Posted
from limen.revocation import Change
from limen.rounds import Rounds
from limen.sealing import Seal

Kind = LetterKind

ROUND_SECONDS = 1.0
BATCH = 20
LEASE = 60 * SECOND

# Seconds from one try to the next; the last one is repeated.
PAUSES: Final = (5, 30, 120, 600, 1800, 3600)

LONGEST_ANSWER = 200

_logger = logging.getLogger(__name__)


class Undeliverable(Exception):
    """Trying again is of no use; the text says why, to an operator, and names no mailbox."""


class NotDelivered(Exception):
    """It did not work this time; the text says why, to an operator, and names no mailbox."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter that is being delivered; `attempts` counts this one, `target` is a webhook's id."""

    id: str
    kind: str
    subject: str
    user_id: str | None
    target: str | None
    attempts: int
    created_at: int
    content: Mapping[str, Any] = field(repr=False)


# Delivers a letter, and returns in a few words what was answered. Whatever else it raises than the
# two above is tried again like NotDelivered, and logged as a mistake of ours.
Carrier = Callable[[Letter], Awaitable[str]]


class Opened(NamedTuple):
    """A letter as it was sealed, and when it becomes useless."""

    letter: Letter
    until: int


@dataclass(frozen=True, slots=True)
class _Service:
    carrier: Carrier
    rounds: Rounds
    keeps_content: bool
    at_once: int


class Outbox:
    """Keeps letters, and has the carrier of each kind deliver them."""

    def __init__(self, database: Database, seal: Seal, *, clock: Clock, events: Events) -> None:
        self._database = database
        self._seal = seal
        self._clock = clock
        self._events = events
        self._services: dict[str, _Service] = {}
        self._answers: dict[str, Carrier] = {}
        self.carried_by("request", self._answer)

    def carried_by(
        self, kind: Kind, carrier: Carrier, *, keeps_content: bool = False, at_once: int = BATCH
    ) -> None:
        """Say who delivers the letters of a kind, and whether they can be read afterwards.

        He is given so many `at_once`, and must be done with them within the lease.
        """
        self._services[kind] = _Service(carrier, Rounds(ROUND_SECONDS), keeps_content, at_once)

    def answered_by(self, subject: str, carrier: Carrier) -> None:
        """Say who works off the requests of a subject."""
        self._answers[subject] = carrier

    def rounds(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Return what must run for letters to be delivered: the rounds of each kind."""
        return [
            service.rounds.repeat(partial(self.work, kind))
            for kind, service in self._services.items()
        ]

    async def put(
        self,
        change: Change,
        kind: Kind,
        subject: str,
        content: Mapping[str, Any],
        *,
        user_id: str | None = None,
        target: str | None = None,
        useful_for: int,
    ) -> str:
        """Put a letter in, in the transaction of the change; return its id.

        `subject` says what it is about, in a word or two for operators. It is given up when it
        was not delivered in `useful_for` seconds.
        """
        letter = await self.write(
            change.connection,
            kind,
            subject,
            content,
            user_id=user_id,
            target=target,
            useful_for=useful_for,
        )
        if service := self._services.get(kind):
            change.afterwards.append(service.rounds.hurry)
        return letter

    async def write(
        self,
        connection: AsyncConnection,
        kind: Kind,
        subject: str,
        content: Mapping[str, Any],
        *,
        user_id: str | None = None,
        target: str | None = None,
        useful_for: int,
    ) -> str:
        """Do the same in any transaction; the next round finds it."""
        now, letter = self._clock(), secrets.token_hex(16)
        sealed = json.dumps({"until": now + useful_for * SECOND, "content": content}).encode()
        row = {
            "id": letter,
            "kind": kind,
            "subject": subject,
            "user_id": user_id,
            "target": target,
            "sealed": self._seal.seal(sealed, letter),
            "attempts": 0,
            "created_at": now,
            "due_at": now,
            "outcome": "waiting",
        }
        await connection.execute(insert(outbox).values(row))
        return letter

    async def work(self, kind: str) -> None:
        """Deliver what is due of a kind.

        Raises:
            DatabaseUnavailable: Some may have been delivered, and be delivered again.
        """
        with origin.coming_from(origin.LIMEN):
            while rows := await self._take(kind):
                tries = await asyncio.gather(*map(self._deliver, rows), return_exceptions=True)
                for failure in tries:  # by now none is under way that nobody waits for
                    if failure is not None:
                        raise failure

    async def caught_up(self, kind: Kind) -> None:
        """Wait until this process, if it delivers, has tried all that is due of a kind by now."""
        if service := self._services.get(kind):
            await service.rounds.anew()

    async def _answer(self, letter: Letter) -> str:
        return await self._answers[letter.subject](letter)

    async def _take(self, kind: str) -> Sequence[Row[Any]]:
        now, letters = self._clock(), outbox.c
        of_kind = select(letters.id).where(letters.kind == kind, letters.due_at <= now)
        due = of_kind.order_by(letters.due_at).limit(self._services[kind].at_once)
        async with self._database.read() as connection:
            if (await connection.execute(due.limit(1))).first() is None:
                return ()  # mostly so: then nobody is kept from writing
        taking = (
            update(outbox)
            .where(letters.id.in_(due.with_for_update(skip_locked=True)))
            .values(due_at=now + LEASE, attempts=letters.attempts + 1)
            .returning(outbox)
        )
        async with self._database.write() as connection:
            rows: Sequence[Row[Any]] = (await connection.execute(taking)).all()
        return rows

    async def _deliver(self, row: Row[Any]) -> None:
        found = opened(row, self._seal)
        if found is None:
            await self._finish(row, "failed", "sealed under a secret that has gone")
            return
        if self._clock() > found.until:
            await self._finish(row, "failed", row.answer or "nobody was there to deliver it")
            return
        try:
            answer = await self._services[row.kind].carrier(found.letter)
        except Undeliverable as reason:
            await self._finish(row, "failed", str(reason))
        except DatabaseUnavailable:
            raise
        except Exception as error:
            if not isinstance(error, NotDelivered):
                _logger.exception("a letter could not be delivered", extra={"letter": row.id})
            problem = str(error) if isinstance(error, NotDelivered) else type(error).__name__
            await self._put_off(row, until=found.until, problem=problem)
        else:
            await self._finish(row, "delivered", answer)

    async def _put_off(self, row: Row[Any], *, until: int, problem: str) -> None:
        again = self._clock() + PAUSES[min(row.attempts, len(PAUSES)) - 1] * SECOND
        if again > until:
            await self._finish(row, "failed", problem)
        else:
            later = {"due_at": again, "answer": problem[:LONGEST_ANSWER]}
            await self._settle(row, "retried", later)

    async def _finish(self, row: Row[Any], outcome: LetterOutcome, answer: str) -> None:
        keeps = outcome == "delivered" and self._services[row.kind].keeps_content
        done = {
            "sealed": outbox.c.sealed if keeps else None,
            "due_at": None,
            "finished_at": self._clock(),
            "outcome": outcome,
            "answer": answer[:LONGEST_ANSWER],
        }
        await self._settle(row, outcome, done)

    async def _settle(
        self, row: Row[Any], outcome: LetterOutcome, values: Mapping[str, object]
    ) -> None:
        """Write down what has come of a try, unless its lease has passed and others had theirs."""
        still_ours = (outbox.c.id == row.id, outbox.c.attempts == row.attempts)
        waiting = update(outbox).where(*still_ours, outbox.c.outcome == "waiting")
        async with self._database.write() as connection:
            settled = await connection.execute(waiting.values(values).returning(outbox.c.id))
            is_settled = settled.one_or_none() is not None
        if is_settled:
            self._events.emit(Posted(row.kind, outcome))


def opened(row: Row[Any], seal: Seal) -> Opened | None:
    """Return the letter of a row, or None if it is sealed under a secret that has gone."""
    found = seal.open(row.sealed, row.id)
    if found is None:
        return None
    said = json.loads(found.content)
    letter = Letter(
        row.id,
        row.kind,
        row.subject,
        row.user_id,
        row.target,
        row.attempts,
        row.created_at,
        said["content"],
    )
    return Opened(letter, said["until"])
