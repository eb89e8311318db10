"""What a stranger may have mailed: asked within limits, written down, looked at afterwards.

Somebody asks for a mail to an address, and need not be its owner. He must neither learn whether the
address has an account, nor fill its mailbox. So asking does the same for every address: it takes a
slot of the mailbox and one of the caller's address prefix, which are kept, and puts a letter to
ourselves into the outbox. Whether there is such an account is looked up when that letter is worked
off, when nobody is watching (`limen.outbox`). What comes of it is recorded as coming from where it
was asked.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from typing import Any

from limen.clients import bucket
from limen.origin import Origin, coming_from, present
from limen.outbox import Letter, Outbox
from limen.rate_limits import Attempt, Bucket, Policy, RateLimits
from limen.revocation import Change, RevocationLog

USEFUL_SECONDS = 3600  # who has waited longer has asked again

# Does what was asked for, perhaps a second time, and returns in a few words what it was.
Answer = Callable[[Mapping[str, Any]], Awaitable[str]]


class MailRequests:
    """Takes requests, and has them answered; `mailbox` and `address` are their limits."""

    def __init__(
        self,
        outbox: Outbox,
        log: RevocationLog,
        limits: RateLimits,
        *,
        mailbox: Policy,
        address: Policy,
    ) -> None:
        self._outbox = outbox
        self._log = log
        self._limits = limits
        self._mailbox = mailbox
        self._address = address

    def answered_by(self, subject: str, answer: Answer) -> None:
        """Say who answers the requests of a subject."""

        async def carry(letter: Letter) -> str:
            with coming_from(Origin(**letter.content["origin"])):
                return await answer(letter.content["asked"])

        self._outbox.answered_by(subject, carry)

    def attempt(
        self, email_key: str, address: str, *further: Bucket
    ) -> AbstractAsyncContextManager[Attempt]:
        """Take the slots for a mail to the mailbox of this key, asked for from this address.

        Raises:
            TooManyAttempts: Too many mails were asked for; nothing was written.
            DatabaseUnavailable: Nothing was admitted.
        """
        return self._limits.attempt(
            self._limits.bucket(self._mailbox, email_key),
            self._limits.bucket(self._address, bucket(address)),
            *further,
        )

    async def write_down(self, subject: str, asked: Mapping[str, Any]) -> None:
        """Put a request into the outbox, for whoever answers its subject.

        Raises:
            DatabaseUnavailable: It was not written down.
        """
        async with self._log.change() as change:
            await self.put(change, subject, asked)

    async def put(self, change: Change, subject: str, asked: Mapping[str, Any]) -> None:
        """Do the same in the transaction of what causes it."""
        content = {"asked": dict(asked), "origin": asdict(present())}
        await self._outbox.put(change, "request", subject, content, useful_for=USEFUL_SECONDS)

    async def ask(
        self, subject: str, asked: Mapping[str, Any], *, email_key: str, address: str
    ) -> None:
        """Take the slots and write the request down.

        Raises:
            TooManyAttempts: Too many mails were asked for; nothing was written.
            DatabaseUnavailable: It was not written down.
        """
        async with self.attempt(email_key, address):
            await self.write_down(subject, asked)
