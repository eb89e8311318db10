"""Codes: what is sent to a mailbox, to prove that somebody reads it.

A code comes in two forms that stand for the same, and either is used up with the other:

    token     128 random bits, in a link; nobody guesses it, so it needs no name beside it
    digits    six digits, to be typed; bound to the account, and dead after five wrong tries

There is one living code for each purpose of an account. A newer one takes the row of the older, so
the older is dead. It is bound to the credential version at which it was made, so a new password, a
new address, or whatever else voids the account's tokens kills it too. Redeeming deletes the row in
one statement: of fifty at once one succeeds. Looking at a link redeems nothing.

The database holds digests alone: of a token plain SHA-256, as 128 random bits cannot be guessed;
of digits a MAC under the root secret, as a million tries are nothing to whoever has the table.
"""

import hmac
import re
import secrets
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from limen.clock import SECOND, Clock
from limen.database.engine import Database
from limen.database.schema import accounts, codes
from limen.emails import Email
from limen.events import Purpose
from limen.tokens import digest
from limen.verify import base64url

TOKEN_BYTES = 16
DIGITS = 6
MAX_TRIES = 5

_DIGITS = re.compile(rf"[0-9]{{{DIGITS}}}")


@dataclass(frozen=True, slots=True)
class Code:
    """A code that was just made: both its forms, for the mail alone."""

    token: str = field(repr=False)
    digits: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What a good code has proved: that somebody reads the mail of `email` for this account.

    The account had the credential version `cv` just now. Who acts on it in the same transaction
    must change the account only if it still has.
    """

    user_id: str
    cv: int
    email: Email


def is_digits(code: str) -> bool:
    """Whether a code has the form of the digits; anything else can only be a token."""
    return _DIGITS.fullmatch(code) is not None


class Codes:
    """Makes and redeems codes. `key` is that of the digits' MACs."""

    def __init__(self, database: Database, *, key: bytes, clock: Clock) -> None:
        self._database = database
        self._key = key
        self._clock = clock

    async def issue(
        self,
        connection: AsyncConnection,
        purpose: Purpose,
        *,
        user_id: str,
        cv: int,
        email: Email,
        lifetime: int,
    ) -> Code:
        """Make a code that lives for so many seconds, in place of an older one; store digests."""
        code = Code(
            secrets.token_urlsafe(TOKEN_BYTES), f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}"
        )
        now = self._clock()
        row = {
            "token_hash": digest(code.token),
            "digits_hash": self._mac(purpose, user_id, code.digits),
            "email": email.shown,
            "email_key": email.key,
            "cv": cv,
            "tries": 0,
            "created_at": now,
            "expires_at": now + lifetime * SECOND,
        }
        new = self._database.insert(codes).values(user_id=user_id, purpose=purpose, **row)
        newer = new.on_conflict_do_update(
            index_elements=[codes.c.user_id, codes.c.purpose], set_=row
        )
        await connection.execute(newer)
        return code

    async def owner(self, purpose: Purpose, token: str) -> str | None:
        """Return the user_id of whom a link belongs to. The code stays what it is."""
        which = (codes.c.token_hash == digest(token), *self._living(purpose))
        async with self._database.read() as connection:
            found = await connection.execute(select(codes.c.user_id).where(*which))
            return found.scalar_one_or_none()

    async def redeem_token(
        self, connection: AsyncConnection, purpose: Purpose, token: str
    ) -> Redeemed | None:
        """Use up the code that a link carries, in the transaction of what it allows."""
        return await self._redeem(connection, purpose, codes.c.token_hash == digest(token))

    async def redeem_digits(
        self, connection: AsyncConnection, purpose: Purpose, user_id: str, digits: str
    ) -> Redeemed | None:
        """Use up the code that was typed, in the transaction of what it allows.

        `count_try` must have been committed before, and have said yes.
        """
        typed = self._mac(purpose, user_id, digits)
        of_account = codes.c.user_id == user_id
        return await self._redeem(connection, purpose, of_account, codes.c.digits_hash == typed)

    async def count_try(self, purpose: Purpose, user_id: str) -> bool:
        """Count a try at the digits of an account's code; False: there is none, or no try is left.

        It is counted before the digits are compared, so that a thousand tries at once are five.
        For an account that does not exist, the same is asked of the database.
        """
        trying = (
            update(codes)
            .where(
                codes.c.user_id == user_id, codes.c.purpose == purpose, codes.c.tries < MAX_TRIES
            )
            .values(tries=codes.c.tries + 1)
            .returning(codes.c.tries)
        )
        async with self._database.write() as connection:
            return (await connection.execute(trying)).one_or_none() is not None

    async def _redeem(
        self, connection: AsyncConnection, purpose: Purpose, *which: ColumnElement[bool]
    ) -> Redeemed | None:
        row = codes.c
        used = delete(codes).where(*which, *self._living(purpose))
        returned = used.returning(row.user_id, row.cv, row.email, row.email_key)
        found = (await connection.execute(returned)).one_or_none()
        return found and Redeemed(found.user_id, found.cv, Email(found.email, found.email_key))

    def _living(self, purpose: Purpose) -> tuple[ColumnElement[bool], ...]:
        row = codes.c
        version = select(accounts.c.cv).where(accounts.c.user_id == row.user_id).scalar_subquery()
        return row.purpose == purpose, row.expires_at > self._clock(), row.cv == version

    def _mac(self, purpose: Purpose, user_id: str, digits: str) -> str:
        message = f"{purpose}:{user_id}:{digits}".encode()
        return base64url.encode(hmac.digest(self._key, message, "sha256"))
