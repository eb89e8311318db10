"""A session: one sign-in on one device, from the sign-in until it ends.

One row a session, never one a token. A session ends when its owner signs out, when its refresh
token is replayed, when its account is disabled or gets another password, or by itself at
`abs_exp`, however often it was refreshed. Ending is remembered in the row and written to the
revocation log in the same transaction, so that its access tokens end with it. Ending it again
changes nothing.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate

from limen import origin
from limen.clients import device_name
from limen.clock import SECOND, Clock
from limen.database.prepared import Prepared
from limen.database.schema import accounts, sessions
from limen.events import EndReason, SessionEnded
from limen.revocation import Change, RevocationLog
from limen.tokens import Generation, Grant, fid_digest

# The columns of a session that has just started; it has neither ended nor been retried.
_NEW = (
    *("fid_hash", "sid", "user_id", "cv", "gen", "confirmed", "handed_at", "rotated_at"),
    *("created_at", "abs_exp", "outcome", "device", "address"),
)

# 256 random bits: what a refresh token must know of its session.
FID_BYTES = 32


@dataclass(frozen=True, slots=True)
class Session:
    """A session that has just started, as what its two tokens are made of."""

    grant: Grant
    generation: Generation


def _start() -> ReturningInsert[Any]:
    """Return what inserts a session if its account is still as it was read."""
    new = {name: bindparam(name, type_=sessions.c[name].type) for name in _NEW}
    still_so: ColumnElement[bool] = accounts.c.disabled_at.is_(None)
    for name in ("user_id", "cv"):
        still_so = and_(accounts.c[name] == new[name], still_so)
    row = select(*new.values()).where(still_so)
    return insert(sessions).from_select([*_NEW], row).returning(sessions.c.sid)


_START = Prepared(_start())


class Sessions:
    """Starts and ends sessions. `lifetime` is the absolute one, in seconds."""

    def __init__(self, log: RevocationLog, *, lifetime: int, clock: Clock) -> None:
        self._log = log
        self._lifetime = lifetime * SECOND
        self._clock = clock

    def start(
        self,
        connection: AsyncConnection,
        *,
        user_id: str,
        cv: int,
        scope: str,
        roles: str = "",
        email_verified: bool = False,
        custom: Mapping[str, Any] | None = None,
    ) -> Session:
        """Start a session, if the account is still as it was read when this is committed.

        The account was read before its password was verified, which takes a while: the row is
        written only if its credential version is still the one that was read. If it is not, or the
        account was disabled meanwhile, the commit, or a statement before it, raises UnexpectedRows.
        """
        now, where = self._clock(), origin.present()
        fid, sid = secrets.token_urlsafe(FID_BYTES), secrets.token_hex(16)
        generation = Generation(user_id, fid, 0, rotated_at=now, abs_exp=now + self._lifetime)
        row = {
            "fid_hash": fid_digest(fid),
            "sid": sid,
            "user_id": user_id,
            "cv": cv,
            "gen": 0,
            "confirmed": 1,
            "handed_at": 0,
            "rotated_at": now,
            "created_at": now,
            "abs_exp": generation.abs_exp,
            "outcome": 0,
            "device": device_name(where.agent),
            "address": where.address,
        }
        _START.later(connection, row, rows=1)
        grant = Grant(user_id, sid, cv, scope, roles, email_verified, custom or {})
        return Session(grant, generation)

    async def end_by_fid(self, fid: str, reason: EndReason) -> None:
        """End the session that a refresh token names.

        Raises:
            DatabaseUnavailable: The session has not ended.
        """
        await self._end(sessions.c.fid_hash == fid_digest(fid), reason)

    async def end_by_sid(self, sid: str, reason: EndReason, *, user_id: str | None = None) -> bool:
        """End the session that an access token names; return whether it went on until now.

        With `user_id`, only if it is one of that account.

        Raises:
            DatabaseUnavailable: The session has not ended.
        """
        named = sessions.c.sid == sid
        own = named if user_id is None else and_(named, sessions.c.user_id == user_id)
        return await self._end(own, reason)

    async def void(
        self, change: Change, user_id: str, reason: EndReason, *, keep: str | None = None
    ) -> None:
        """Void all that was handed out to an account, by raising its credential version.

        Its sessions end and its access tokens are refused, also those of a sign-in that is on
        its way with the version read before. The session with the sid `keep` goes on: its access
        tokens are refused too, but it can be refreshed.
        """
        cv = await self._raise(change, user_id)
        if keep is not None:
            kept = update(sessions).where(sessions.c.sid == keep, sessions.c.ended_at.is_(None))
            await change.connection.execute(kept.values(cv=cv))
        others = and_(sessions.c.user_id == user_id, sessions.c.sid.is_distinct_from(keep))
        ended = await change.connection.execute(self._ending(others, reason))
        change.happened(*(SessionEnded(row.sid, reason, user_id, row.gen) for row in ended))

    async def renew(self, change: Change, user_id: str) -> None:
        """Void the access tokens of an account, whose sessions go on with what it may do now."""
        cv = await self._raise(change, user_id)
        living = update(sessions).where(
            sessions.c.user_id == user_id, sessions.c.ended_at.is_(None)
        )
        await change.connection.execute(living.values(cv=cv))

    async def _raise(self, change: Change, user_id: str) -> int:
        raised = await change.connection.execute(
            update(accounts)
            .where(accounts.c.user_id == user_id)
            .values(cv=accounts.c.cv + 1)
            .returning(accounts.c.cv)
        )
        cv: int = raised.scalar_one()
        await change.revoke_account(user_id, below=cv)
        return cv

    async def _end(self, which: ColumnElement[bool], reason: EndReason) -> bool:
        async with self._log.change() as change:
            ended = await change.connection.execute(self._ending(which, reason))
            row = ended.one_or_none()
            if row is not None:
                await change.revoke_session(row.sid)
                change.happened(SessionEnded(row.sid, reason, row.user_id, row.gen))
        return row is not None

    def _ending(self, which: ColumnElement[bool], reason: EndReason) -> ReturningUpdate[Any]:
        return (
            update(sessions)
            .where(which, sessions.c.ended_at.is_(None))
            .values(ended_at=self._clock(), end_reason=reason)
            .returning(sessions.c.sid, sessions.c.user_id, sessions.c.gen)
        )
