"""Confirming by a code from a mail: the code, and who presents it.

A code shows that somebody reads a mailbox. It does not show that he opened the account whose code
it is: that may have been a stranger who typed this address, and now waits for its owner to open the
link and so to vouch for the stranger's account. So a code alone confirms nothing. Beside it there
must be

    a session     of the account that the code is of: its access token
    the password  of that account, which a link names by itself, and six digits do not: they need
                  the e-mail address with which one signs in

A password is checked like a sign-in, and within its limits (`limen.login`), before the code is
looked at: who does not know it cannot use up the tries of the owner's code.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from limen.accounts import Account, Accounts
from limen.clients import Client
from limen.errors import InvalidCode
from limen.events import Purpose
from limen.login import Login
from limen.mailed_codes import MailedCodes, Presented
from limen.verify.claims import Claims
from limen.verify.errors import MissingToken


@dataclass(frozen=True, slots=True)
class Confirming:
    """A code and who presents it: the `holder` of an access token, or somebody with a password."""

    code: str = field(repr=False)
    client: Client
    holder: Claims | None = None
    password: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)

    def session_of(self, user_id: str) -> str | None:
        """Return the sid from which this comes, if it is one of that account."""
        return self.holder.sid if self.holder and self.holder.user_id == user_id else None


class Confirmation:
    """Lets codes be redeemed by those who they were made for."""

    def __init__(self, accounts: Accounts, login: Login, codes: MailedCodes) -> None:
        self._accounts = accounts
        self._login = login
        self._codes = codes

    @asynccontextmanager
    async def presented(self, purpose: Purpose, by: Confirming) -> AsyncIterator[Presented]:
        """Find out whose code this must be, and let the block redeem it.

        Raises:
            MissingToken: There is neither an access token nor a password.
            InvalidCredentials: The password is not that of the account.
            InvalidRequest: Six digits and a password, and no e-mail address.
            InvalidCode: No link was sent with this token.
            TooManyAttempts: A limit is reached, of signing in or of wrong codes.
            Busy: The hashing queue is full.
            DatabaseUnavailable: Nothing was decided.
        """
        account = await self._account(purpose, by)
        address = by.client.address
        async with self._codes.presented(
            purpose, by.code, address=address, email_key=account.email_key
        ) as presented:
            yield presented

    async def _account(self, purpose: Purpose, by: Confirming) -> Account:
        if by.password is not None:
            email = by.email if by.email is not None else await self._named_by(purpose, by)
            return await self._login.check(email, by.password, by.client)
        if by.holder is None:
            raise MissingToken
        return await self._accounts.get(by.holder.user_id)

    async def _named_by(self, purpose: Purpose, by: Confirming) -> str:
        """Return the address of whom a link is of, and use nothing up."""
        user_id = await self._codes.owner(purpose, by.code)
        if user_id is None:
            async with self._codes.presented(purpose, by.code, address=by.client.address):
                raise InvalidCode  # there, where it is counted and recorded
        return (await self._accounts.get(user_id)).email
