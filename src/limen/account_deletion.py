"""Deleting one's account: with the current password, at once and for good.

The account goes with its sessions and codes, in one transaction. Its access tokens are refused like
revoked ones, wherever that is followed. Its address is free: whoever registers it next gets another
`user_id` and nothing of what was. The trail keeps what happened, under the old `user_id`.
"""

from limen.account_changes import AccountChanges
from limen.clients import Client
from limen.current_password import CurrentPassword
from limen.revocation import RevocationLog
from limen.verify.claims import Claims
from limen.verify.errors import InvalidToken


class AccountDeletion:
    """Deletes the accounts of those who are signed in."""

    def __init__(
        self, log: RevocationLog, changes: AccountChanges, current_password: CurrentPassword
    ) -> None:
        self._log = log
        self._changes = changes
        self._current_password = current_password

    async def delete(self, by: Claims, password: str, client: Client) -> None:
        """Delete the account of an access token.

        Raises:
            WrongPassword: The current password is wrong, or the account is locked.
            InvalidToken: The account was changed just now; the access token is void.
            AccountNotFound: It is not there any more.
            TooManyAttempts: A limit is reached; the password was not looked at.
            Busy: The hashing queue is full.
            DatabaseUnavailable: Nothing was deleted.
        """
        account = await self._current_password.require(by.user_id, password, client)
        async with self._log.change() as change:
            if not await self._changes.delete(change, account.user_id, if_cv=account.cv):
                raise InvalidToken("ended")
