"""Changing one's password: with the current one, from a session.

The current password is asked for once more (`limen.current_password`), within the limits of signing
in: a device that was found unlocked, or a stolen access token, is no better place to guess.

Whoever knew the old password may hold a session. So all others end, with their access tokens and
every code of the account; the one that the change was made from goes on, with the next refresh. The
owner is told by mail, as it may not have been him.
"""

from limen.account_changes import AccountChanges, new_password
from limen.clients import Client
from limen.current_password import CurrentPassword
from limen.errors import InvalidRequest
from limen.mail import Mail
from limen.passwords import Passwords
from limen.revocation import RevocationLog
from limen.verify.claims import Claims
from limen.verify.errors import InvalidToken


class PasswordChange:
    """Changes the passwords of those who are signed in."""

    def __init__(
        self,
        *,
        log: RevocationLog,
        changes: AccountChanges,
        passwords: Passwords,
        mail: Mail,
        current_password: CurrentPassword,
    ) -> None:
        self._log = log
        self._changes = changes
        self._passwords = passwords
        self._mail = mail
        self._current_password = current_password

    async def change(self, by: Claims, current: str, new: str, client: Client) -> None:
        """Give the account of an access token a new password.

        Raises:
            WrongPassword: The current one is wrong, or the account is locked.
            PasswordRefused: The policy does not accept the new one.
            InvalidRequest: The same.
            PasswordCheckUnavailable: Nobody can tell whether the new one has leaked.
            InvalidToken: The account was changed just now; the access token is void.
            AccountNotFound: It is not there any more.
            TooManyAttempts: A limit is reached; the current password was not looked at.
            Busy: The hashing queue is full.
            DatabaseUnavailable: Nothing has changed.
        """
        account = await self._current_password.require(by.user_id, current, client)
        await self._check(new, account.email)
        values = new_password(await self._passwords.hash(new))
        async with self._log.change() as change:
            if not await self._changes.make(
                change,
                account.user_id,
                "password_changed",
                if_cv=account.cv,
                keep=by.sid,
                values=values,
            ):
                raise InvalidToken("ended")
            to, user_id = account.email, account.user_id
            await self._mail.post(change, "password_changed", to, user_id=user_id)

    async def _check(self, password: str, email: str) -> None:
        try:
            await self._passwords.check_new(password, email)
        except InvalidRequest as refused:
            refused.field = "new_password"  # there are two passwords in this request
            raise
