"""Mail: which messages there are, and putting one into the outbox.

A message is named here and written in a template (`data/mail`). What goes into the outbox, in the
transaction of the change that causes it, is the name, the mailbox, and the words to fill in; it is
rendered when it is sent.

    verify            prove that you read this mailbox
    reset             choose another password
    email_change      prove that you read the new mailbox
    invite            open the account that somebody made for you
    already_there     somebody tried to register your address; you have an account
    password_changed  notice: the password was changed, or reset
    email_changed     notice, to the old address
    locked            too many wrong passwords: only a reset opens the account now
    reset_required    the operator wants another password: only a reset opens the account now
    test              does mail work?
"""

from dataclasses import asdict
from typing import Literal

from limen.codes import Code
from limen.outbox import Outbox
from limen.revocation import Change

Message = Literal[
    "verify",
    "reset",
    "email_change",
    "invite",
    "already_there",
    "password_changed",
    "email_changed",
    "locked",
    "reset_required",
    "test",
]

NOTICE_SECONDS = 86400  # a notice that is a day late is no use


class Mail:
    """Puts messages into the outbox."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def post(
        self,
        change: Change,
        message: Message,
        to: str,
        *,
        user_id: str | None = None,
        code: Code | None = None,
        useful_for: int = NOTICE_SECONDS,
        **words: str,
    ) -> None:
        """Put a message to the mailbox `to`, an address as it is stored, into the outbox.

        It is given up after `useful_for` seconds, as when its code has expired.
        """
        content = {"to": to, "code": code and asdict(code), "words": words}
        await self._outbox.put(
            change, "mail", message, content, user_id=user_id, useful_for=useful_for
        )
