"""A forgotten password: asked for by anybody, set by whoever reads the account's mail.

    1. somebody types an address; every address is answered alike, at once (`limen.mail_requests`)
    2. when nobody is watching, the account is looked up. If there is one that is not disabled, a
       code goes to the address that is stored with it, never to the one that was typed
    3. the code comes back with a new password, and is used up in the transaction that sets it

The code proves what a password would: it comes from the account's mailbox. So a reset is the way
back into a locked account (`limen.lock`), and verifies the address. Whoever signed in before, or
registered the address of somebody else, is out: all sessions end, with their access tokens, and
every other code of the account dies. The owner is told by mail. His device becomes a known one
(`limen.devices`), so that somebody who goes on guessing cannot make him wait for his first sign-in.

A new password that is not acceptable uses nothing up: what is typed is looked at before the code.
Only whether the password has leaked elsewhere is asked within the limits on codes, as asking costs
others something. It is hashed before the transaction, whether the code is good or not.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from sqlalchemy import func

from limen.account_changes import AccountChanges, new_password
from limen.accounts import Account, Accounts
from limen.clients import Client
from limen.clock import Clock
from limen.codes import Redeemed
from limen.database.schema import accounts as table
from limen.devices import Devices
from limen.emails import Emails
from limen.errors import AccountNotFound, InvalidCode
from limen.mail import Mail, Message
from limen.mail_requests import MailRequests
from limen.mailed_codes import MailedCodes
from limen.passwords import Passwords
from limen.revocation import Change, RevocationLog


class PasswordReset:
    """Mails codes, and sets new passwords for them."""

    def __init__(
        self,
        *,
        log: RevocationLog,
        accounts: Accounts,
        emails: Emails,
        changes: AccountChanges,
        passwords: Passwords,
        codes: MailedCodes,
        mail: Mail,
        requests: MailRequests,
        devices: Devices,
        clock: Clock,
    ) -> None:
        self._log = log
        self._accounts = accounts
        self._emails = emails
        self._changes = changes
        self._passwords = passwords
        self._codes = codes
        self._mail = mail
        self._clock = clock
        self._requests = requests
        self._devices = devices
        requests.answered_by("forgot", self._forgot)
        requests.answered_by("locked", partial(self._closed, "locked"))
        requests.answered_by("reset_required", partial(self._closed, "reset_required"))

    async def forgot(self, email: str, client: Client) -> None:
        """Mail a code to the owner of this address, if it has an account.

        Raises:
            TooManyAttempts: Too many mails were asked for, whether there is an account or not.
            DatabaseUnavailable: It was not taken down.
        """
        email_key = self._emails.lookup_key(email)
        asked = {"email_key": email_key}
        await self._requests.ask("forgot", asked, email_key=email_key, address=client.address)

    async def reset(
        self, code: str, password: str, client: Client, *, email: str | None = None
    ) -> str:
        """Give the account of a code a new password. Six digits need its e-mail address, too.

        Return a device token: who reads the mailbox is at a device of the owner's.

        Raises:
            PasswordRefused: The policy does not accept the password; the code is still good.
            InvalidRequest: The same, or six digits came without an address.
            PasswordCheckUnavailable: Nobody can tell whether the password has leaked.
            InvalidCode: The code is wrong, used, expired, or of another account.
            TooManyAttempts: Too many wrong codes; this one was not looked at.
            Busy: The hashing queue is full.
            DatabaseUnavailable: Nothing has changed.
        """
        self._passwords.check_policy(password, email or "")
        self._passwords.require_room()
        email_key = None if email is None else self._emails.lookup_key(email)
        async with self._codes.presented(
            "reset", code, address=client.address, email_key=email_key
        ) as presented:
            await self._passwords.check_new(password, email or "")
            password_hash = await self._passwords.hash(password)
            async with self._log.change() as change:
                redeemed = await presented.redeem(change)
                self._passwords.check_policy(password, redeemed.email.shown)
                await self._set(change, redeemed, password_hash)
        return self._devices.issue(redeemed.email.key)

    async def _set(self, change: Change, redeemed: Redeemed, password_hash: str) -> None:
        verified_at = func.coalesce(table.c.verified_at, self._clock())
        if not await self._changes.make(
            change,
            redeemed.user_id,
            "password_reset",
            if_cv=redeemed.cv,
            values={**new_password(password_hash), "verified_at": verified_at},
        ):
            raise InvalidCode
        to, user_id = redeemed.email.shown, redeemed.user_id
        await self._mail.post(change, "password_changed", to, user_id=user_id)

    async def _forgot(self, asked: Mapping[str, Any]) -> str:
        return await self._send("reset", await self._accounts.find(asked["email_key"]))

    async def _closed(self, message: Message, asked: Mapping[str, Any]) -> str:
        """Tell the owner that only a reset opens the account now."""
        try:
            account = await self._accounts.get(asked["user_id"])
        except AccountNotFound:
            account = None
        return await self._send(message, account)

    async def _send(self, message: Message, account: Account | None) -> str:
        if account is None or account.disabled_at is not None:
            return "no such account"
        async with self._log.change() as change:
            await self._codes.send(
                change,
                "reset",
                user_id=account.user_id,
                cv=account.cv,
                to=account.address,
                message=message,
            )
        return "sent a code"
