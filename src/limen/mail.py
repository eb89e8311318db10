"""Mail: which messages there are, and putting one into the outbox.

A message is named here and written in a template (`data/mail`). What goes into the outbox, in the
transaction of the change that causes it, is the name, the mailbox, and the words to fill in; it is
rendered when it is sent (`limen.mail_delivery`).

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
from typing import Any, Final, Literal, get_args

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
MESSAGES: Final[tuple[Message, ...]] = get_args(Message)

# These always bring a code, the others may: a link, and six digits that stand for the same.
WITH_CODE: Final[frozenset[Message]] = frozenset(
    {"verify", "reset", "email_change", "invite", "reset_required"}
)

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

        It is given up after `useful_for` seconds, which is also how long it says that its code
        is good.
        """
        content = written_down(to, code=code, good_for=useful_for, **words)
        await self._outbox.put(
            change, "mail", message, content, user_id=user_id, useful_for=useful_for
        )


def written_down(
    to: str, *, code: Code | None = None, good_for: int, **words: str
) -> dict[str, Any]:
    """Return what the outbox keeps of a message, beside its name."""
    return {"to": to, "code": code and asdict(code), "good_for": good_for, "words": words}
