"""Accounts: who can sign in.

An account is known by its `user_id`, which is random, says nothing and is never used again, and
found by the key of its e-mail address, under which it is unique. Its credential version, `cv`, is
carried by its sessions and access tokens; raising it voids them all in one write. That is how a
new password, a disabled account and "sign me out everywhere" take effect at once, also for a
sign-in that is just being checked against the old password.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from operator import attrgetter
from typing import Any

from sqlalchemy import bindparam, insert, select
from sqlalchemy.exc import IntegrityError

from limen import events
from limen.account_changes import AccountChanges, new_password
from limen.clock import Clock
from limen.database.engine import Database
from limen.database.prepared import Prepared
from limen.database.schema import accounts
from limen.emails import Email, Emails
from limen.errors import AccountNotFound, EmailTaken
from limen.events import Registered
from limen.mail_requests import MailRequests
from limen.passwords import Passwords
from limen.revocation import Change, RevocationLog
from limen.scopes import access, check_words

# user_ids are random, so the first so many rows are a fair sample of all.
HASH_SAMPLE = 1000


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it was read. Times in microseconds.

    `disabled_at` is None if it may sign in; `verified_at` unless somebody has shown that he reads
    the mail of its address; `reset_required_at` unless its password is worth nothing any more.
    `failures` counts wrong passwords in a row.
    """

    user_id: str
    email: str = field(repr=False)
    email_key: str = field(repr=False)
    password_hash: str = field(repr=False)
    cv: int
    scope: str
    created_at: int
    disabled_at: int | None
    verified_at: int | None = None
    roles: str = ""
    failures: int = 0
    reset_required_at: int | None = None

    @property
    def address(self) -> Email:
        """The address with its key."""
        return Email(self.email, self.email_key)


_columns = attrgetter(*(one.name for one in fields(Account)))
_BY_KEY = Prepared(select(accounts).where(accounts.c.email_key == bindparam("email_key")))
_BY_ID = Prepared(select(accounts).where(accounts.c.user_id == bindparam("user_id")))


class Accounts:
    """Creates, finds and changes accounts."""

    def __init__(
        self,
        database: Database,
        log: RevocationLog,
        changes: AccountChanges,
        passwords: Passwords,
        *,
        emails: Emails,
        requests: MailRequests,
        clock: Clock,
    ) -> None:
        self._database = database
        self._log = log
        self._changes = changes
        self._passwords = passwords
        self._emails = emails
        self._requests = requests
        self._clock = clock

    async def create(self, email: str, password: str, *, scope: str = "") -> Account:
        """Create an account with a password that the policy accepts.

        Raises:
            InvalidRequest: The address, the password or the scope is not acceptable.
            PasswordCheckUnavailable: Nobody can tell whether the password has leaked.
            EmailTaken: There is an account with this address.
            Busy: The hashing queue is full.
            DatabaseUnavailable: Nothing was created.
        """
        address = self._emails.parse(email)
        check_words(scope, "scope")
        await self._passwords.check_new(password, address.shown)
        password_hash = await self._passwords.hash(password)
        async with self._log.change() as change:
            return await self.add(change, address, password_hash, scope=scope)

    async def create_with_hash(self, email: str, password_hash: str, *, scope: str = "") -> Account:
        """Create an account whose password is known only by a hash that another system made.

        Raises:
            InvalidRequest: The address or the scope is not acceptable, or the hash is not one
                that can be verified here.
            EmailTaken: There is an account with this address.
            DatabaseUnavailable: Nothing was created.
        """
        check_words(scope, "scope")
        self._passwords.check_hash(password_hash)
        address = self._emails.parse(email)
        async with self._log.change() as change:
            return await self.add(change, address, password_hash, scope=scope)

    async def add(
        self,
        change: Change,
        address: Email,
        password_hash: str,
        *,
        scope: str = "",
        roles: str = "",
        reset_required_at: int | None = None,
    ) -> Account:
        """Create an account in a transaction of the caller's, which rolls back if this raises.

        Raises:
            EmailTaken: There is an account with this address.
        """
        account = Account(
            user_id=secrets.token_hex(16),
            email=address.shown,
            email_key=address.key,
            password_hash=password_hash,
            cv=1,
            scope=scope,
            created_at=self._clock(),
            disabled_at=None,
            roles=roles,
            reset_required_at=reset_required_at,
        )
        try:
            await change.connection.execute(insert(accounts).values(asdict(account)))
        except IntegrityError:
            raise EmailTaken from None
        change.happened(Registered(account.user_id, account.scope or None))
        return account

    async def find(self, email: str) -> Account | None:
        """Return the account that any spelling of an address means.

        Raises:
            DatabaseUnavailable: It cannot be looked up.
        """
        return await self.find_by_key(self._emails.lookup_key(email))

    async def find_by_key(self, email_key: str) -> Account | None:
        """Do the same for whoever has the key of the address already."""
        return await self._one(_BY_KEY, {"email_key": email_key})

    async def get(self, user_id: str) -> Account:
        """Return the account.

        Raises:
            AccountNotFound: There is none of that id.
            DatabaseUnavailable: It cannot be looked up.
        """
        account = await self._one(_BY_ID, {"user_id": user_id})
        if account is None:
            raise AccountNotFound
        return account

    async def page(self, *, after: str = "", limit: int = 100) -> list[Account]:
        """Return accounts in the order of their user_ids, from the one behind `after`."""
        query = select(accounts).where(accounts.c.user_id > after).order_by(accounts.c.user_id)
        async with self._database.read() as connection:
            return [account_of(row) for row in await connection.execute(query.limit(limit))]

    async def disable(self, user_id: str) -> None:
        """Let the account sign in no more, and void what it was given.

        Raises:
            AccountNotFound: There is none of that id.
            DatabaseUnavailable: Nothing has changed.
        """
        await self.change(user_id, "disabled", disabled_at=self._clock())

    async def enable(self, user_id: str) -> None:
        """Let the account sign in again. What was voided stays void.

        Raises:
            AccountNotFound: There is none of that id.
            DatabaseUnavailable: Nothing has changed.
        """
        await self.change(user_id, "enabled", disabled_at=None)

    async def set_password(self, user_id: str, password: str) -> None:
        """Give the account another password, and void what it was given before.

        Raises:
            AccountNotFound: There is none of that id.
            InvalidRequest: The policy does not accept the password.
            PasswordCheckUnavailable: Nobody can tell whether it has leaked.
            Busy: The hashing queue is full.
            DatabaseUnavailable: Nothing has changed.
        """
        account = await self.get(user_id)
        await self._passwords.check_new(password, account.email)
        password_hash = await self._passwords.hash(password)
        await self.change(user_id, "password_changed", **new_password(password_hash))

    async def require_reset(self, user_id: str) -> None:
        """Let nobody sign in until another password was chosen with a code, which is mailed.

        What the account was given is void.

        Raises:
            AccountNotFound: There is none of that id.
            DatabaseUnavailable: Nothing has changed.
        """
        async with self._log.change() as change:
            if not await self.require_reset_in(change, user_id):
                raise AccountNotFound

    async def require_reset_in(self, change: Change, user_id: str) -> bool:
        """Do the same in a transaction of the caller's; return False if there is no account."""
        values = {"reset_required_at": self._clock()}
        if not await self._changes.make(change, user_id, "reset_required", values=values):
            return False
        await self._requests.put(change, "reset_required", {"user_id": user_id})
        return True

    async def end_sessions(self, user_id: str) -> None:
        """End all of the account's sessions.

        Raises:
            AccountNotFound: There is none of that id.
            DatabaseUnavailable: Nothing has changed.
        """
        await self.change(user_id, "sessions_ended")

    async def set_access(
        self, user_id: str, *, scope: str | None = None, roles: str | None = None
    ) -> None:
        """Say what the account may do: its scopes, its roles or both, as words with spaces between.

        Its access tokens are void at once. Its sessions go on, with what it may do now.

        Raises:
            AccountNotFound: There is none of that id.
            InvalidRequest: A token could not carry them, or nothing is said.
            DatabaseUnavailable: Nothing has changed.
        """
        await self.change(user_id, "access_changed", **access(scope=scope, roles=roles))

    async def delete(self, user_id: str) -> None:
        """Delete the account, with its sessions. Its address is free again, its user_id never.

        Raises:
            AccountNotFound: There is none of that id.
            DatabaseUnavailable: Nothing has changed.
        """
        async with self._log.change() as change:
            if not await self._changes.delete(change, user_id):
                raise AccountNotFound

    async def change(self, user_id: str, kind: events.Change, **values: object) -> None:
        """Make one change of an account (`limen.account_changes`) in a transaction of its own.

        Raises:
            AccountNotFound: There is none of that id.
            DatabaseUnavailable: Nothing has changed.
        """
        async with self._log.change() as change:
            if not await self._changes.make(change, user_id, kind, values=values):
                raise AccountNotFound

    async def sample_hashes(self) -> Sequence[str]:
        """Return the password hashes of a random sample of accounts."""
        query = select(accounts.c.password_hash).order_by(accounts.c.user_id).limit(HASH_SAMPLE)
        async with self._database.read() as connection:
            return (await connection.execute(query)).scalars().all()

    async def _one(self, which: Prepared, values: Mapping[str, object]) -> Account | None:
        async with self._database.read() as connection:
            row = await which.row(connection, values)
        return None if row is None else account_of(row)


def account_of(row: Any) -> Account:
    """Return the account in a row of the table."""
    return Account(*_columns(row))
