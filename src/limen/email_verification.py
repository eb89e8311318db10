"""Verifying an address: the owner of an account shows that he reads its mail.

    unverified    the address was typed by somebody, and may be anybody's
    verified      a code that was mailed to it came back, with the password or from a session

The code alone would not do (`limen.confirmation`). A reset of the password and an invitation prove
the same mailbox and verify it too. A verified address stays verified until it is changed for
another, which is verified by changing it (`limen.email_change`).

Tokens say whether the address is verified. It voids none of them: the next refresh brings one that
says so.

The code is sent when the account is registered. Another can be asked for, from a session, or by
whoever types an address: then nobody is told whether it has an account, and which state it is in.
"""

from collections.abc import Mapping
from typing import Any

from limen.account_changes import AccountChanges
from limen.accounts import Account, Accounts
from limen.clients import Client
from limen.clock import Clock
from limen.confirmation import Confirmation, Confirming
from limen.emails import Emails
from limen.errors import InvalidCode
from limen.mail_requests import MailRequests
from limen.mailed_codes import MailedCodes
from limen.revocation import Change, RevocationLog


class EmailVerification:
    """Sends codes to addresses, and verifies them."""

    def __init__(
        self,
        *,
        log: RevocationLog,
        accounts: Accounts,
        emails: Emails,
        changes: AccountChanges,
        codes: MailedCodes,
        requests: MailRequests,
        confirmation: Confirmation,
        clock: Clock,
    ) -> None:
        self._log = log
        self._accounts = accounts
        self._emails = emails
        self._changes = changes
        self._codes = codes
        self._requests = requests
        self._confirmation = confirmation
        self._clock = clock
        requests.answered_by("verify", self._answer)

    async def send(self, change: Change, account: Account) -> None:
        """Send a code to the account's address, in the transaction of the change."""
        to = account.address
        await self._codes.send(change, "verify", user_id=account.user_id, cv=account.cv, to=to)

    async def send_again(self, user_id: str, client: Client) -> None:
        """Send another code to an account that asks for it; a verified one needs none.

        Raises:
            AccountNotFound: It is not there any more.
            TooManyAttempts: Too many mails were asked for.
            DatabaseUnavailable: Nothing was sent.
        """
        account = await self._accounts.get(user_id)
        async with self._requests.attempt(account.email_key, client.address):
            await self._send_if_needed(account)

    async def ask(self, email: str, client: Client) -> None:
        """Send another code to the owner of this address, if it has an account that needs one.

        Raises:
            TooManyAttempts: Too many mails were asked for, whether there is an account or not.
            DatabaseUnavailable: It was not taken down.
        """
        email_key = self._emails.lookup_key(email)
        asked = {"email_key": email_key}
        await self._requests.ask("verify", asked, email_key=email_key, address=client.address)

    async def confirm(self, by: Confirming) -> None:
        """Verify the address that the code was mailed to.

        Raises:
            InvalidCode: It is wrong, used, expired, or of another account.
            MissingToken, InvalidCredentials, InvalidRequest, TooManyAttempts, Busy: See
                `limen.confirmation`.
            DatabaseUnavailable: Nothing has changed.
        """
        async with (
            self._confirmation.presented("verify", by) as presented,
            self._log.change() as change,
        ):
            redeemed = await presented.redeem(change)
            verified = await self._changes.make(
                change,
                redeemed.user_id,
                "email_verified",
                if_cv=redeemed.cv,
                values={"verified_at": self._clock()},
            )
            if not verified:
                raise InvalidCode

    async def _answer(self, asked: Mapping[str, Any]) -> str:
        account = await self._accounts.find(asked["email_key"])
        if account is None or account.disabled_at is not None:
            return "no such account"
        return await self._send_if_needed(account)

    async def _send_if_needed(self, account: Account) -> str:
        if account.verified_at is not None or account.reset_required_at is not None:
            return "needs none"  # without a password, only a reset or an invitation helps
        async with self._log.change() as change:
            await self.send(change, account)
        return "sent a code"
