"""What was mailed, read as whoever gets it would; and waiting until requests are worked off."""

import asyncio
import json
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from sqlalchemy import delete

from limen.codes import Code
from limen.database.schema import codes, outbox
from limen.limen import Limen
from limen.outbox import LEASE, Kind
from limen.tokens import digest
from tests.stored import rows

SECONDS = 10

# A mail server that nobody listens at: with one, registering tells nothing, and mail waits.
SMTP_URL = "smtp://127.0.0.1:9"
MAIL_FROM = "limen <no-reply@example.com>"


@dataclass(frozen=True)
class Mailed:
    """A mail: what it is about, to which mailbox, and the code in it."""

    message: str
    to: str
    user_id: str | None
    code: Code | None
    at: int

    @property
    def token(self) -> str:
        assert self.code is not None
        return self.code.token

    @property
    def digits(self) -> str:
        assert self.code is not None
        return self.code.digits


async def mails(limen: Limen, to: str | None = None) -> list[Mailed]:
    """Return the mails to a mailbox, or all, the oldest first, when all requests are answered."""
    await answered(limen)
    letters = [row for row in await rows(limen, outbox) if row.kind == "mail"]
    found = [_mailed(limen, row) for row in sorted(letters, key=attrgetter("created_at"))]
    return [mail for mail in found if to in (None, mail.to)]


async def last_mail(limen: Limen, to: str) -> Mailed:
    """Return the last mail to a mailbox; of several at one moment, one whose code is good."""
    found = await mails(limen, to)
    living = {row.token_hash for row in await rows(limen, codes)}
    return max(found, key=lambda mail: (mail.at, _digest_of(mail) in living))


async def taken_out(limen: Limen) -> list[Mailed]:
    """Return all mails like `mails`, and take them out: nobody finds them or sends them again."""
    found = await mails(limen)
    if found:
        async with limen.features.database.write() as connection:
            await connection.execute(delete(outbox).where(outbox.c.kind == "mail"))
    return found


async def answered(limen: Limen) -> None:
    """Wait until every request that is due was worked off, by this process or by the test."""
    clock = limen._clock
    async with asyncio.timeout(SECONDS):
        while True:
            await limen.features.outbox.work("request")
            due = [
                row
                for row in await rows(limen, outbox)
                if row.kind == "request"
                and row.outcome == "waiting"
                and (row.due_at <= clock() or _is_under_way(row, clock()))
            ]
            if not due:
                return
            await asyncio.sleep(0.005)


async def sent(limen: Limen) -> None:
    """Wait until what is due was worked off, and the mail that came of it has been tried."""
    kinds: tuple[Kind, ...] = ("request", "mail")
    for kind in kinds:
        await limen.features.outbox.work(kind)
        await limen.features.outbox.caught_up(kind)  # what the background has taken, too


async def written(limen: Limen, kind: str) -> list[Any]:
    """Return the rows of the outbox of one kind."""
    return [row for row in await rows(limen, outbox) if row.kind == kind]


def _is_under_way(row: Any, now: int) -> bool:
    return row.answer is None or row.due_at == now + LEASE


def _digest_of(mail: Mailed) -> str:
    return digest(mail.code.token) if mail.code else ""


def _mailed(limen: Limen, row: Any) -> Mailed:
    opened = limen.features.outbox._seal.open(row.sealed, row.id)
    assert opened is not None
    content = json.loads(opened.content)["content"]
    code = content["code"] and Code(**content["code"])
    return Mailed(row.subject, content["to"], row.user_id, code, row.created_at)
