"""The lock: after too many wrong passwords in a row, only a code by mail opens an account.

The limits of signing in admit 480 guesses at an account a day, every day, from anywhere. A good
password outlasts that, and not every password is good; NIST SP 800-63B-4, section 3.2.2, sets an
end at a hundred failures in a row. So each account counts them:

    below 100    open
    from 100     locked for strangers: whatever they type is wrong, and is counted no more.
                 Its owner is mailed a code to choose another password, once
    from 200     locked for known devices, too (`limen.devices`)

A success begins anew at 0, that of a known device too. What strangers do never brings the count
above 100, so an attacker keeps no owner away from his own devices, however long he goes on. The
second hundred is for whoever holds a device token: somebody knew the password there once.

That an account is locked is told to its owner, by mail, and to nobody else: for strangers it gives
the answers, and costs the work, of a wrong password.

An operator may require a reset, too (`Accounts.require_reset`). Then no password is right, on no
device, and failures are not counted, until one was chosen with a code by mail
(`limen.password_reset`).

A failure is counted by one statement, which says how many there are by now: so of several at once
exactly one is the hundredth, and mails.
"""

from typing import Final

from sqlalchemy import update

from limen.accounts import Account
from limen.database.schema import accounts
from limen.events import AccountChanged
from limen.mail_requests import MailRequests
from limen.revocation import Change

STRANGERS: Final = 100
KNOWN_DEVICES: Final = 200


class Lock:
    """Counts the failures of accounts, and says whom they keep out.

    `is_known` says of whoever tries whether his device is a known one of the account.
    """

    def __init__(self, requests: MailRequests) -> None:
        self._requests = requests

    def is_open(self, account: Account, *, is_known: bool) -> bool:
        """Whether the right password would do, as far as the lock is concerned."""
        return account.reset_required_at is None and account.failures < _most(is_known=is_known)

    async def count(self, change: Change, email_key: str, *, is_known: bool) -> None:
        """Count a failure; where there is no such account, the same is asked of the database."""
        counting = (
            update(accounts)
            .where(
                accounts.c.email_key == email_key,
                accounts.c.failures < _most(is_known=is_known),
                accounts.c.disabled_at.is_(None),
                accounts.c.reset_required_at.is_(None),
            )
            .values(failures=accounts.c.failures + 1)
            .returning(accounts.c.user_id, accounts.c.failures)
        )
        counted = (await change.connection.execute(counting)).one_or_none()
        if counted is not None and counted.failures == STRANGERS:
            change.happened(AccountChanged(counted.user_id, "locked"))
            await self._requests.put(change, "locked", {"user_id": counted.user_id})

    async def forget(self, change: Change, account: Account, *, is_known: bool) -> bool:
        """Begin anew after a success; False if the account was locked just now.

        An account without failures is not written to: it cannot be locked while one password is
        checked.
        """
        if account.failures == 0:
            return True
        forgetting = (
            update(accounts)
            .where(
                accounts.c.user_id == account.user_id,
                accounts.c.failures < _most(is_known=is_known),
            )
            .values(failures=0)
            .returning(accounts.c.user_id)
        )
        return (await change.connection.execute(forgetting)).one_or_none() is not None


def _most(*, is_known: bool) -> int:
    return KNOWN_DEVICES if is_known else STRANGERS
