"""Changing the address of an account: asked for with the password, confirmed at the new mailbox.

    1. the owner asks, with his current password; a stolen session is not enough
    2. a code goes to the new address. Whose that is already is told there, and there alone
    3. the code comes back, from a session or with the password (`limen.confirmation`): the account
       has the new address, which is verified by that; the old address is told

Asking is answered alike whether the new address is free or has an account: what is to be mailed is
found out afterwards (`limen.mail_requests`). Whether it is free is decided by the database when the
address is changed, so somebody who registers it meanwhile wins, and the code is worth nothing.

The new address is what one signs in with, so whoever knew the old one may hold a session: all but
the one that confirms end, and so does every other code of the account.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from limen.account_changes import AccountChanges
from limen.accounts import Accounts
from limen.clients import Client
from limen.clock import Clock
from limen.codes import Redeemed
from limen.confirmation import Confirmation, Confirming
from limen.current_password import CurrentPassword
from limen.database.schema import accounts as table
from limen.emails import Email, Emails
from limen.errors import AccountNotFound, InvalidCode
from limen.mail import Mail
from limen.mail_requests import MailRequests
from limen.mailed_codes import MailedCodes
from limen.revocation import Change, RevocationLog


class EmailChange:
    """Changes addresses."""

    def __init__(
        self,
        *,
        log: RevocationLog,
        accounts: Accounts,
        emails: Emails,
        changes: AccountChanges,
        codes: MailedCodes,
        mail: Mail,
        requests: MailRequests,
        current_password: CurrentPassword,
        confirmation: Confirmation,
        clock: Clock,
    ) -> None:
        self._log = log
        self._accounts = accounts
        self._emails = emails
        self._changes = changes
        self._codes = codes
        self._mail = mail
        self._requests = requests
        self._current_password = current_password
        self._confirmation = confirmation
        self._clock = clock
        requests.answered_by("email_change", self._answer)

    async def ask(self, user_id: str, email: str, password: str, client: Client) -> None:
        """Send a code to the new address of an account whose current password this is.

        Raises:
            InvalidRequest: The new address is not one that an account can have.
            WrongPassword: The password is wrong.
            AccountNotFound: The account is not there any more.
            TooManyAttempts: Too many failures, or too many mails.
            Busy: The hashing queue is full.
            DatabaseUnavailable: It was not taken down.
        """
        new = self._emails.parse(email)
        account = await self._current_password.require(user_id, password, client)
        asked = {"user_id": user_id, "cv": account.cv, "email": new.shown, "email_key": new.key}
        await self._requests.ask("email_change", asked, email_key=new.key, address=client.address)

    async def confirm(self, by: Confirming) -> None:
        """Change the address to the one that the code was mailed to.

        Raises:
            InvalidCode: It is wrong, used, expired, of another account, or the address was taken
                meanwhile.
            MissingToken, InvalidCredentials, InvalidRequest, TooManyAttempts, Busy: See
                `limen.confirmation`.
            DatabaseUnavailable: Nothing has changed.
        """
        async with (
            self._confirmation.presented("email_change", by) as presented,
            self._log.change() as change,
        ):
            redeemed = await presented.redeem(change)
            await self._change(change, redeemed, keep=by.session_of(redeemed.user_id))

    async def _change(self, change: Change, redeemed: Redeemed, *, keep: str | None) -> None:
        user_id, new = redeemed.user_id, redeemed.email
        reading = select(table.c.email).where(table.c.user_id == user_id)
        old = (await change.connection.execute(reading)).scalar_one_or_none()
        values = {"email": new.shown, "email_key": new.key, "verified_at": self._clock()}
        try:
            changed = await self._changes.make(
                change, user_id, "email_changed", if_cv=redeemed.cv, keep=keep, values=values
            )
        except IntegrityError:
            raise InvalidCode from None
        if not changed or old is None:
            raise InvalidCode
        await self._mail.post(change, "email_changed", old, user_id=user_id)

    async def _answer(self, asked: Mapping[str, Any]) -> str:
        new = Email(asked["email"], asked["email_key"])
        owner = await self._accounts.find(new.key)
        if owner is not None and owner.user_id != asked["user_id"]:
            return await self._tell(owner.email, owner.user_id, is_told=owner.disabled_at is None)
        return await self._send(asked["user_id"], asked["cv"], new)

    async def _tell(self, email: str, user_id: str, *, is_told: bool) -> str:
        if is_told:
            async with self._log.change() as change:
                await self._mail.post(change, "already_there", email, user_id=user_id)
        return "the address is taken"

    async def _send(self, user_id: str, cv: int, new: Email) -> str:
        try:
            account = await self._accounts.get(user_id)
        except AccountNotFound:
            return "no such account"
        if account.cv != cv:
            return "the account was changed meanwhile"
        async with self._log.change() as change:
            await self._codes.send(change, "email_change", user_id=user_id, cv=cv, to=new)
        return "sent a code"
