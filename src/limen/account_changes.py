"""Changing an account: what each kind of change voids, in one transaction with it.

Some changes take everything away that was handed out before: whoever had the old password, or the
old address, may hold a session. They end the account's sessions, but perhaps for the one that the
change was made from. A change of what an account may do ends none, and holds at once all the same:
its access tokens are void, and its sessions get new ones by refreshing. All this is one raised
number, the credential version (`limen.sessions`), so no change can be overtaken by a sign-in or a
refresh that began before it.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import ColumnElement, delete, select, update

from limen import events
from limen.database.schema import accounts
from limen.events import AccountChanged, EndReason
from limen.revocation import Change
from limen.sessions import Sessions

# Which changes end the account's sessions, and what these are told as the reason.
ENDS_SESSIONS: Final[dict[events.Change, EndReason]] = {
    "disabled": "disabled",
    "password_changed": "password_changed",
    "password_reset": "password_reset",
    "invitation_accepted": "password_changed",
    "email_changed": "email_changed",
    "reset_required": "reset_required",
    "sessions_ended": "ended_by_operator",
    "other_sessions_ended": "ended_by_owner",
    "deleted": "deleted",
}
RENEWS_TOKENS: Final[frozenset[events.Change]] = frozenset({"access_changed"})


class AccountChanges:
    """Changes accounts in transactions of the caller's."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def make(
        self,
        change: Change,
        user_id: str,
        kind: events.Change,
        *,
        if_cv: int | None = None,
        keep: str | None = None,
        values: Mapping[str, object] | None = None,
    ) -> bool:
        """Set the values of an account, and void what this kind of change voids.

        With `if_cv`, only if that is still the account's credential version. `keep` is the sid of
        the session that goes on. Return False, and change nothing, if there is no such account.
        """
        which = accounts.c.user_id == user_id
        same = which if if_cv is None else (which & (accounts.c.cv == if_cv))
        values = values or {}
        if not await _found(change, same, values):
            return False
        may = {name: str(value) for name, value in values.items() if name in ("scope", "roles")}
        change.happened(AccountChanged(user_id, kind, **may))
        if (reason := ENDS_SESSIONS.get(kind)) is not None:
            await self._sessions.void(change, user_id, reason, keep=keep)
        elif kind in RENEWS_TOKENS:
            await self._sessions.renew(change, user_id)
        return True

    async def delete(self, change: Change, user_id: str, *, if_cv: int | None = None) -> bool:
        """Delete an account with its sessions and codes; its tokens are refused like revoked ones.

        The user_id is never used again. Return False if there is no such account.
        """
        if not await self.make(change, user_id, "deleted", if_cv=if_cv):
            return False
        await change.connection.execute(delete(accounts).where(accounts.c.user_id == user_id))
        return True


def new_password(password_hash: str) -> dict[str, object]:
    """Return what a new password sets: what was counted against the old one is forgotten."""
    return {"password_hash": password_hash, "failures": 0, "reset_required_at": None}


async def _found(change: Change, which: ColumnElement[bool], values: Mapping[str, object]) -> bool:
    """Set the values of the account, or only lock it if there are none; say if it is there."""
    if values:
        setting = update(accounts).where(which).values(**values).returning(accounts.c.user_id)
        return (await change.connection.execute(setting)).one_or_none() is not None
    locking = select(accounts.c.user_id).where(which).with_for_update()
    return (await change.connection.execute(locking)).one_or_none() is not None
