"""Invitations: an account that an operator opens for somebody, who chooses its password.

    invited     the account is there, with what it may do and without a password: only a code that
                is mailed to its address lets somebody in
    accepted    whoever has the code registers with this address and a password of his own, and so
                has verified the address

What stands in place of the password's hash is one that no password matches, of the kind that an
unknown address is checked against (`limen.stand_ins`): signing in tells nobody who was invited.
Inviting again sends a newer code, and the older is dead.
"""

from dataclasses import dataclass, field, replace

from limen.account_changes import AccountChanges, new_password
from limen.accounts import Account, Accounts
from limen.clock import Clock
from limen.codes import Code
from limen.emails import Email, Emails
from limen.errors import EmailTaken, InvalidCode
from limen.events import AccountChanged
from limen.mailed_codes import MailedCodes
from limen.passwords import Passwords
from limen.revocation import Change, RevocationLog
from limen.scopes import check_words


@dataclass(frozen=True, slots=True)
class Invited:
    """An account that waits for its owner, and the code that was mailed to him."""

    account: Account
    code: Code = field(repr=False)


class Invitations:
    """Invites, and lets invitations be accepted."""

    def __init__(
        self,
        *,
        log: RevocationLog,
        accounts: Accounts,
        emails: Emails,
        changes: AccountChanges,
        passwords: Passwords,
        codes: MailedCodes,
        clock: Clock,
    ) -> None:
        self._log = log
        self._accounts = accounts
        self._emails = emails
        self._changes = changes
        self._passwords = passwords
        self._codes = codes
        self._clock = clock

    async def invite(self, email: str, *, scope: str = "", roles: str = "") -> Invited:
        """Open an account for the owner of an address, and mail him the code to it.

        Somebody who was invited before and has not come gets another code; scope and roles that
        are given now replace those that were given then.

        Raises:
            InvalidRequest: The address, the scope or a role is not acceptable.
            EmailTaken: Somebody has an account with this address.
            DatabaseUnavailable: Nobody was invited.
        """
        address = self._emails.parse(email)
        check_words(scope, "scope")
        check_words(roles, "role")
        known = await self._accounts.find(address.key)
        async with self._log.change() as change:
            if known is None:
                account = await self._open(change, address, scope, roles)
            else:
                account = await self._again(change, known, scope, roles)
            code = await self._codes.send(
                change, "invite", user_id=account.user_id, cv=account.cv, to=account.address
            )
        return Invited(account, code)

    async def accept(self, code: str, email: str, password: str, address: str) -> Account:
        """Give the invited account its password; `address` is where the request comes from.

        Raises:
            InvalidRequest: The e-mail address or the password is not acceptable.
            PasswordCheckUnavailable: Nobody can tell whether the password has leaked.
            InvalidCode: Nobody with this address was invited by this code, or he has come already.
            TooManyAttempts: Too many wrong codes.
            Busy: The hashing queue is full.
            DatabaseUnavailable: Nothing has changed.
        """
        mailbox = self._emails.parse(email)
        await self._passwords.check_new(password, mailbox.shown)
        async with self._codes.presented(
            "invite", code, address=address, email_key=mailbox.key
        ) as presented:
            password_hash = await self._passwords.hash(password)
            values = {**new_password(password_hash), "verified_at": self._clock()}
            async with self._log.change() as change:
                redeemed = await presented.redeem(change)
                if not await self._changes.make(
                    change,
                    redeemed.user_id,
                    "invitation_accepted",
                    if_cv=redeemed.cv,
                    values=values,
                ):
                    raise InvalidCode
        return await self._accounts.get(redeemed.user_id)

    async def _open(self, change: Change, address: Email, scope: str, roles: str) -> Account:
        account = await self._accounts.add(
            change,
            address,
            self._passwords.of_nobody(address.key),
            scope=scope,
            roles=roles,
            reset_required_at=self._clock(),
        )
        change.happened(AccountChanged(account.user_id, "invited"))
        return account

    async def _again(self, change: Change, account: Account, scope: str, roles: str) -> Account:
        """Let the account have what is given now, unless its owner has come meanwhile."""
        now = replace(account, scope=scope or account.scope, roles=roles or account.roles)
        waits = account.reset_required_at is not None and account.verified_at is None
        values = {"scope": now.scope, "roles": now.roles}
        if not waits or not await self._changes.make(
            change, account.user_id, "invited", if_cv=account.cv, values=values
        ):
            raise EmailTaken
        return now
