"""The current password, asked for once more: before what a stolen access token must not do.

Whoever found a device unlocked holds a session. He must not be able to take the account over with
it, so changing what lets its owner in asks for the password again. It is checked like a sign-in
(`limen.login`), within the same limits, so that it is no better place to guess.
"""

from limen.accounts import Account, Accounts
from limen.clients import Client
from limen.errors import InvalidCredentials, WrongPassword
from limen.login import Login


class CurrentPassword:
    """Asks the holders of access tokens for their passwords."""

    def __init__(self, accounts: Accounts, login: Login) -> None:
        self._accounts = accounts
        self._login = login

    async def require(self, user_id: str, password: str, client: Client) -> Account:
        """Return the account if this is its password. Change it with `if_cv=account.cv` alone.

        Raises:
            WrongPassword: It is not, or the account is disabled.
            AccountNotFound: It is not there any more.
            TooManyAttempts: A limit is reached; the password was not looked at.
            Busy: The hashing queue is full; the password was not looked at.
            DatabaseUnavailable: Nothing was decided.
        """
        account = await self._accounts.get(user_id)
        try:
            checked = await self._login.check(account.email, password, client)
        except InvalidCredentials:
            raise WrongPassword from None
        if checked.user_id != user_id:  # its address changed hands just now
            raise WrongPassword
        return checked
