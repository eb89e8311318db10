"""Codes by mail: sending one to a mailbox, and taking back what somebody presents as one.

A code is made, its mail put into the outbox, and the event recorded in the transaction of whatever
causes it. What comes back is one of a code's two forms (`limen.codes`):

    the token of a link    names its account itself, and cannot be guessed
    six digits             mean nothing unless it is said whose they are

Slots are taken before anything is looked at: one of the address prefix, and one of the account that
is named, if any. A good code gives them back, so what is counted are wrong codes. An account that
does not exist, or that was sent no code, is counted and asked for like any other, so that neither
the answer nor the number of statements tells who has an account. A wrong code is recorded.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy import select

from limen.clients import bucket
from limen.codes import Code, Codes, Redeemed, is_digits
from limen.database.engine import Database
from limen.database.schema import accounts
from limen.emails import Email
from limen.errors import InvalidCode, InvalidRequest
from limen.events import CodeIssued, CodeRefused, Purpose
from limen.mail import Mail, Message
from limen.rate_limits import Attempt, Bucket, Policy, RateLimits
from limen.revocation import Change, RevocationLog

_NOBODY = "." * 32  # as long as a user_id, and never one


@dataclass(frozen=True, slots=True)
class CodePolicies:
    """The limits on wrong codes: of an account, of an address prefix."""

    account: Policy
    address: Policy


@dataclass(frozen=True, slots=True)
class Presented:
    """What somebody presents as a code; nothing is used up yet.

    `user_id` is the account that he named, if he did and there is one.
    """

    purpose: Purpose
    user_id: str | None
    _code: str = field(repr=False)
    _account: str | None
    _attempt: Attempt
    _codes: Codes
    _limits: RateLimits

    async def redeem(self, change: Change) -> Redeemed:
        """Use the code up, in the transaction of what it allows. That rolls back if this raises.

        Raises:
            InvalidCode: It is wrong, used, expired, or not of the account that was named.
        """
        redeemed = await self._redeem(change)
        if redeemed is None or self._account not in (None, redeemed.user_id):
            raise InvalidCode
        self._limits.give_back(change.connection, self._attempt)
        return redeemed

    async def _redeem(self, change: Change) -> Redeemed | None:
        if not is_digits(self._code):
            return await self._codes.redeem_token(change.connection, self.purpose, self._code)
        return await self._codes.redeem_digits(
            change.connection, self.purpose, self._account or _NOBODY, self._code
        )


class MailedCodes:
    """Sends codes and takes them back; `lifetimes` are in seconds."""

    def __init__(
        self,
        *,
        database: Database,
        log: RevocationLog,
        codes: Codes,
        mail: Mail,
        limits: RateLimits,
        policies: CodePolicies,
        lifetimes: Mapping[Purpose, int],
    ) -> None:
        self._database = database
        self._log = log
        self._codes = codes
        self._mail = mail
        self._limits = limits
        self._policies = policies
        self._lifetimes = lifetimes

    async def send(
        self,
        change: Change,
        purpose: Purpose,
        *,
        user_id: str,
        cv: int,
        to: Email,
        message: Message | None = None,
    ) -> Code:
        """Make a code, in place of an older one of this purpose, and post it to the mailbox.

        The message is that of the purpose, unless another one brings it.
        """
        lifetime = self._lifetimes[purpose]
        code = await self._codes.issue(
            change.connection, purpose, user_id=user_id, cv=cv, email=to, lifetime=lifetime
        )
        await self._mail.post(
            change, message or purpose, to.shown, user_id=user_id, code=code, useful_for=lifetime
        )
        change.happened(CodeIssued(user_id, purpose))
        return code

    @asynccontextmanager
    async def presented(
        self, purpose: Purpose, code: str, *, address: str, email_key: str | None = None
    ) -> AsyncIterator[Presented]:
        """Take slots for a code, and let the block redeem it.

        `address` is where the request comes from; `email_key` names an account, known or not. An
        InvalidCode that the block raises is recorded.

        Raises:
            InvalidRequest: Six digits, and no account named.
            TooManyAttempts: Too many wrong codes; this one was not looked at.
            DatabaseUnavailable: Nothing was decided.
        """
        if email_key is None and is_digits(code):
            raise InvalidRequest("Say whose six digits these are: send the e-mail address too.")
        async with self._limits.attempt(*self._buckets(address, email_key)) as attempt:
            user_id = email_key and await self._named(email_key)
            account = email_key and await self._tried(purpose, code, user_id)
            try:
                yield Presented(purpose, user_id, code, account, attempt, self._codes, self._limits)
            except InvalidCode:
                async with self._log.change() as change:
                    change.happened(CodeRefused(purpose, user_id))
                raise

    async def owner(self, purpose: Purpose, code: str) -> str | None:
        """Return the user_id of whom a link belongs to, and use nothing up; digits name nobody."""
        return None if is_digits(code) else await self._codes.owner(purpose, code)

    def _buckets(self, address: str, email_key: str | None) -> list[Bucket]:
        buckets = [self._limits.bucket(self._policies.address, bucket(address))]
        if email_key is not None:
            buckets.append(self._limits.bucket(self._policies.account, email_key))
        return buckets

    async def _named(self, email_key: str) -> str | None:
        which = select(accounts.c.user_id).where(accounts.c.email_key == email_key)
        async with self._database.read() as connection:
            return (await connection.execute(which)).scalar_one_or_none()

    async def _tried(self, purpose: Purpose, code: str, user_id: str | None) -> str:
        """Count a try at digits; return whose code they may be, which is nobody's without one."""
        named = user_id or _NOBODY
        if not is_digits(code) or await self._codes.count_try(purpose, named):
            return named
        return _NOBODY
