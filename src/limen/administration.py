"""What an administrator does with accounts over HTTP, and that one administrator always stays.

An administrator is whoever has the scope `admin` and may sign in: not disabled, and without the
need of a new password. He may take away from any account, himself included, what lets it in, but
not if nobody would be left who could give it back. Whether somebody is left is asked in the
transaction of the change, after it: what voids something is counted in one row
(`limen.revocation`), which makes the second of two administrators who remove each other wait, and
see what the first did.

No method here takes or gives a password, a hash, a code or a token. The operator's command line is
not bound by this rule: whoever has the database makes a new administrator at any time.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from limen import events
from limen.account_changes import AccountChanges
from limen.accounts import Account, Accounts, account_of
from limen.clock import Clock
from limen.database import schema
from limen.database.engine import Database
from limen.database.schema import ADMINISTRATORS
from limen.errors import AccountNotFound, LastAdministrator, LetterNotFound, SessionNotFound
from limen.events import LetterHurried
from limen.own_sessions import OwnSession, OwnSessions
from limen.revocation import Change, RevocationLog
from limen.scopes import access
from limen.sessions import Sessions

SCOPE = "admin"

ANY_LEFT = (
    select(schema.accounts.c.user_id)
    .where(
        ADMINISTRATORS,
        schema.accounts.c.disabled_at.is_(None),
        schema.accounts.c.reset_required_at.is_(None),
    )
    .limit(1)
)


class Administration:
    """Changes accounts on behalf of administrators. What is changed is returned as it is then."""

    def __init__(
        self,
        database: Database,
        log: RevocationLog,
        *,
        accounts: Accounts,
        changes: AccountChanges,
        sessions: Sessions,
        own_sessions: OwnSessions,
        clock: Clock,
    ) -> None:
        self._database = database
        self._log = log
        self._accounts = accounts
        self._changes = changes
        self._sessions = sessions
        self._own_sessions = own_sessions
        self._clock = clock

    async def disable(self, user_id: str) -> Account:
        """Let the account sign in no more, and void what it was given.

        Raises:
            AccountNotFound: There is none of that id.
            LastAdministrator: It is the last that may administrate.
            DatabaseUnavailable: Nothing has changed.
        """
        return await self._change(user_id, "disabled", disabled_at=self._clock())

    async def enable(self, user_id: str) -> Account:
        """Let the account sign in again. What was voided stays void.

        Raises:
            AccountNotFound: There is none of that id.
            DatabaseUnavailable: Nothing has changed.
        """
        return await self._change(user_id, "enabled", disabled_at=None)

    async def require_reset(self, user_id: str) -> Account:
        """Let nobody sign in until another password was chosen (`Accounts.require_reset`).

        Raises:
            AccountNotFound: There is none of that id.
            LastAdministrator: It is the last that may administrate.
            DatabaseUnavailable: Nothing has changed.
        """
        async with self._guarded(user_id) as change:
            await self._accounts.require_reset_in(change, user_id)
            return await _read(change.connection, user_id)

    async def end_sessions(self, user_id: str) -> Account:
        """End all of the account's sessions.

        Raises:
            AccountNotFound: There is none of that id.
            DatabaseUnavailable: Nothing has changed.
        """
        return await self._change(user_id, "sessions_ended")

    async def set_access(
        self, user_id: str, *, scope: str | None = None, roles: str | None = None
    ) -> Account:
        """Say what the account may do (`Accounts.set_access`).

        Raises:
            AccountNotFound: There is none of that id.
            InvalidRequest: A token could not carry them, or nothing is said.
            LastAdministrator: It is the last that may administrate.
            DatabaseUnavailable: Nothing has changed.
        """
        return await self._change(user_id, "access_changed", **access(scope=scope, roles=roles))

    async def delete(self, user_id: str) -> None:
        """Delete the account, with its sessions.

        Raises:
            AccountNotFound: There is none of that id.
            LastAdministrator: It is the last that may administrate.
            DatabaseUnavailable: Nothing has changed.
        """
        async with self._guarded(user_id) as change:
            await self._changes.delete(change, user_id)

    async def sessions_of(self, user_id: str) -> tuple[Sequence[OwnSession], bool]:
        """Return the sessions of an account that go on, and whether these are all.

        Raises:
            AccountNotFound: There is none of that id.
            DatabaseUnavailable: They cannot be looked up.
        """
        account = await self._accounts.get(user_id)
        return await self._own_sessions.living_of(account.user_id)

    async def end_session(self, sid: str) -> None:
        """End one session; one that has ended already stays ended.

        Raises:
            SessionNotFound: There is none of that sid, or it ended long ago.
            DatabaseUnavailable: It has not ended.
        """
        if await self._sessions.end_by_sid(sid, "ended_by_operator"):
            return
        known = select(schema.sessions.c.sid).where(schema.sessions.c.sid == sid)
        async with self._database.read() as connection:
            if (await connection.execute(known)).first() is None:
                raise SessionNotFound

    async def hurry_letter(self, letter: str) -> None:
        """Have a letter that waits in the outbox tried now; it is, within about a second.

        One that is done with cannot be: its content has gone, and a code in it is worth nothing.

        Raises:
            LetterNotFound: There is none of that id, or it is done with.
            DatabaseUnavailable: It is tried at its time.
        """
        row = schema.outbox.c
        waiting = update(schema.outbox).where(row.id == letter, row.due_at.is_not(None))
        now = waiting.values(due_at=self._clock()).returning(row.id)
        async with self._log.change() as change:
            if (await change.connection.execute(now)).one_or_none() is None:
                raise LetterNotFound
            change.happened(LetterHurried(letter))

    async def _change(self, user_id: str, kind: events.Change, **values: object) -> Account:
        async with self._guarded(user_id) as change:
            await self._changes.make(change, user_id, kind, values=values)
            return await _read(change.connection, user_id)

    @asynccontextmanager
    async def _guarded(self, user_id: str) -> AsyncIterator[Change]:
        """Run a transaction that changes an account, and that is refused if nobody is left."""
        async with self._log.change() as change:
            before = await _locked(change, user_id)
            yield change
            await _require_somebody(change, before)


def is_administrator(account: Account) -> bool:
    """Say whether the account may sign in and administrate."""
    may_sign_in = account.disabled_at is None and account.reset_required_at is None
    return may_sign_in and SCOPE in account.scope.split(" ")


async def _locked(change: Change, user_id: str) -> Account:
    """Return the account, which nobody else changes until this is committed."""
    locking = select(schema.accounts).where(schema.accounts.c.user_id == user_id).with_for_update()
    row = (await change.connection.execute(locking)).one_or_none()
    if row is None:
        raise AccountNotFound
    return account_of(row)


async def _require_somebody(change: Change, before: Account) -> None:
    """Refuse the change of an administrator if it leaves none."""
    if not is_administrator(before):
        return
    if (await change.connection.execute(ANY_LEFT)).first() is None:
        raise LastAdministrator


async def _read(connection: AsyncConnection, user_id: str) -> Account:
    reading = select(schema.accounts).where(schema.accounts.c.user_id == user_id)
    return account_of((await connection.execute(reading)).one())
