"""One's own sessions: seeing where one is signed in, and ending what should not be.

A session is shown as its owner knows it: the device as it called itself, the address that it signed
in from, when it was first and last seen. Seen is a session when it signs in and refreshes, which a
client in use does every half hour.

Ending all others raises the credential version (`limen.sessions`), so that none escapes, not even a
sign-in that is on its way. The session that asks goes on, with its next refresh.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Row, select

from limen.account_changes import AccountChanges
from limen.clock import Clock
from limen.database.engine import Database
from limen.database.schema import sessions as table
from limen.errors import AccountNotFound, SessionNotFound
from limen.revocation import RevocationLog
from limen.sessions import Sessions
from limen.verify.claims import Claims

MOST: Final = 100  # shown at once: nobody reads on


@dataclass(frozen=True, slots=True)
class OwnSession:
    """A session as its owner sees it. Times in microseconds."""

    sid: str
    device: str | None
    address: str | None = field(repr=False)
    first_seen: int
    last_seen: int
    expires_at: int
    is_current: bool


class OwnSessions:
    """Shows and ends sessions; `idle` is the lifetime of a refresh token, in microseconds."""

    def __init__(
        self,
        database: Database,
        log: RevocationLog,
        changes: AccountChanges,
        sessions: Sessions,
        *,
        idle: int,
        clock: Clock,
    ) -> None:
        self._database = database
        self._log = log
        self._changes = changes
        self._sessions = sessions
        self._idle = idle
        self._clock = clock

    async def living(self, by: Claims) -> tuple[Sequence[OwnSession], bool]:
        """Return the sessions that can go on, and whether these are all.

        This one comes first, then the others, the last seen first.

        Raises:
            DatabaseUnavailable: They cannot be read.
        """
        return await self.living_of(by.user_id, here=by.sid)

    async def living_of(self, user_id: str, *, here: str = "") -> tuple[Sequence[OwnSession], bool]:
        """Return the same of any account; the session with the sid `here` comes first.

        Raises:
            DatabaseUnavailable: They cannot be read.
        """
        now, row = self._clock(), table.c
        goes_on = (row.ended_at.is_(None), row.abs_exp > now, row.rotated_at + self._idle > now)
        order = (row.sid != here, row.rotated_at.desc(), row.sid)
        own = select(table).where(row.user_id == user_id, *goes_on).order_by(*order)
        async with self._database.read() as connection:
            found = (await connection.execute(own.limit(MOST + 1))).all()
        return [self._shown(one, here) for one in found[:MOST]], len(found) <= MOST

    async def end(self, by: Claims, sid: str) -> None:
        """End one session of the account; one that has ended stays so.

        Raises:
            SessionNotFound: The account has none of that sid, or has had it long ago.
            DatabaseUnavailable: It has not ended.
        """
        if await self._sessions.end_by_sid(sid, "ended_by_owner", user_id=by.user_id):
            return
        which = select(table.c.sid).where(table.c.sid == sid, table.c.user_id == by.user_id)
        async with self._database.read() as connection:
            if (await connection.execute(which)).first() is None:
                raise SessionNotFound

    async def end_others(self, by: Claims) -> None:
        """End all sessions of the account but the one that asks.

        Raises:
            AccountNotFound: The account is not there any more.
            DatabaseUnavailable: None has ended.
        """
        async with self._log.change() as change:
            if not await self._changes.make(
                change, by.user_id, "other_sessions_ended", keep=by.sid
            ):
                raise AccountNotFound

    def _shown(self, row: Row[Any], here: str) -> OwnSession:
        return OwnSession(
            sid=row.sid,
            device=row.device,
            address=row.address,
            first_seen=row.created_at,
            last_seen=row.rotated_at,
            expires_at=min(row.abs_exp, row.rotated_at + self._idle),
            is_current=row.sid == here,
        )
