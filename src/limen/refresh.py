"""Refresh rotation: each refresh token works once, and a replay ends its session.

The row of a session counts its generations; a refresh token names one of them. What a presented
token is worth follows from its generation `k`, the row's `gen`, and whether `gen` was handed out
within the window:

    k = gen                        long ago    rotate          gen + 1 is handed out
    k = gen                        just now    coalesce        gen is handed out again
    k = gen - 1, same retry key    *           same successor  gen is handed out again
    k = gen - 1, no key, grace     just now    same successor  gen is handed out again
    k = gen - 1, another key       just now    superseded      nothing, and nothing ends
    k > gen                                    fast-forward    the row is older than the token
    anything else                              replay          the session ends, for both

A retry after a lost answer and a thief's replay are the same bytes, so no rule can forgive one
and catch the other. A bare refresh therefore is strict (RFC 9700, section 4.14.2): its window is
the grace, which is 0 unless an operator sets it. A client that sends an `Idempotency-Key`, stored
before it sends, shows that it is the same client, and has a window in which a slow, doubled or
overtaken request does no harm. (*) Its retry is good for as long as the successor was never
used, and within the window after it was.

One statement decides and writes, so simultaneous refreshes need no lock, and reads no row that
was read before it: one write a refresh, none for garbage. A session that has ended, reached its
absolute end, or belongs to an account whose credential version has moved on matches no row. A
database that cannot answer is never a replay. A token newer than its row is authentic all the
same: the row was restored from a moment before the token, and catches up with it.

`docs/refresh.md` draws the states; `tests/rotation_model.py` checks them exhaustively.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Label,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    not_,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate
from sqlalchemy.types import BigInteger, SmallInteger, String

from limen.clock import SECOND, Clock
from limen.custom_claims import CustomClaims, Made
from limen.database.engine import Database
from limen.database.prepared import Prepared
from limen.database.schema import accounts, sessions
from limen.errors import InvalidRefreshToken, RefreshSuperseded
from limen.events import Events, Refreshed, RefreshOutcome, SessionEnded
from limen.revocation import RevocationLog
from limen.tokens import Generation, Grant, Presented, TokenPair, Tokens, digest, fid_digest

# Twice as long as a request or its answer may be on its way: what the model check assumes.
RETRY_WINDOW = 60 * SECOND


class Outcome(IntEnum):
    """What the statement decided; the number is stored in the row."""

    ROTATE = 1
    COALESCE = 2
    SAME_SUCCESSOR = 3
    SUPERSEDED = 4
    FAST_FORWARD = 5
    REPLAY = 9


_REPORTED: dict[Outcome, RefreshOutcome] = {
    Outcome.ROTATE: "rotated",
    Outcome.COALESCE: "coalesced",
    Outcome.SAME_SUCCESSOR: "same_successor",
    Outcome.SUPERSEDED: "superseded",
    Outcome.FAST_FORWARD: "fast_forwarded",
    Outcome.REPLAY: "replayed",
}


# The rows of the table above, each as a condition on the row of the session.
_ROW = sessions.c
_K, _NOW = bindparam("k", type_=BigInteger), bindparam("now", type_=BigInteger)
_ISSUED_AT = bindparam("issued_at", type_=BigInteger)
_WINDOW = bindparam("window", type_=BigInteger)
_KEY = bindparam("key", type_=String)  # NULL for a bare refresh

_SINCE = func.abs(_NOW - _ROW.handed_at)  # a clock set back opens no window
_JUST_NOW, _LONG_AGO = _SINCE < _WINDOW, _SINCE >= _WINDOW
_PREDECESSOR = _ROW.gen - 1 == _K
_SAME_KEY = and_(_PREDECESSOR, _ROW.retry_key == _KEY)
_BOTH_BARE = and_(_PREDECESSOR, _ROW.retry_key.is_(None), _KEY.is_(None))

_FORWARDS, _ROTATES = _ROW.gen < _K, and_(_ROW.gen == _K, _LONG_AGO)
_COALESCES = and_(_ROW.gen == _K, _JUST_NOW)
_RESTARTS = and_(_SAME_KEY, _ROW.confirmed == 0)  # its window; a grace only runs out

_DECIDED = {one: literal_column(str(one.value), SmallInteger) for one in Outcome}  # not sent along
_OUTCOME = case(
    (_FORWARDS, _DECIDED[Outcome.FAST_FORWARD]),
    (_COALESCES, _DECIDED[Outcome.COALESCE]),
    (_ROTATES, _DECIDED[Outcome.ROTATE]),
    (and_(_SAME_KEY, or_(_ROW.confirmed == 0, _JUST_NOW)), _DECIDED[Outcome.SAME_SUCCESSOR]),
    (and_(_BOTH_BARE, _JUST_NOW), _DECIDED[Outcome.SAME_SUCCESSOR]),
    (and_(_PREDECESSOR, _KEY.is_not(None), _JUST_NOW), _DECIDED[Outcome.SUPERSEDED]),
    else_=_DECIDED[Outcome.REPLAY],
)
_REPLAYS = _OUTCOME == _DECIDED[Outcome.REPLAY]  # noqa: SIM300  no constant


def _of_account(name: str) -> Label[Any]:
    """Return what the access token says of the account, as a column of what is returned.

    In what an UPDATE returns, SQLAlchemy names columns without their tables for SQLite, so the
    account's user_id has another name here: "user_id = user_id" would be true of every account,
    and the token would say what the first one may do.
    """
    named = select(accounts.c.user_id.label("holder"), accounts.c[name]).subquery().c
    return select(named[name]).where(named.holder == _ROW.user_id).scalar_subquery().label(name)


def _statement(
    *conditions: ColumnElement[bool], **more: ColumnElement[Any]
) -> ReturningUpdate[Any]:
    account = accounts.c.user_id == _ROW.user_id
    return (
        update(sessions)
        .where(
            _ROW.fid_hash == bindparam("fid"),
            _ROW.ended_at.is_(None),
            _ROW.abs_exp > _NOW,
            _ROW.cv == select(accounts.c.cv).where(account).scalar_subquery(),
            *conditions,
        )
        .values(
            outcome=_OUTCOME,
            gen=case((_ROTATES, _ROW.gen + 1), (_FORWARDS, _K), else_=_ROW.gen),
            retry_key=case((_ROTATES, _KEY), (_FORWARDS, null()), else_=_ROW.retry_key),
            confirmed=case((_ROTATES, 0), (or_(_COALESCES, _FORWARDS), 1), else_=_ROW.confirmed),
            handed_at=case((or_(_ROTATES, _FORWARDS, _RESTARTS), _NOW), else_=_ROW.handed_at),
            rotated_at=case((_ROTATES, _NOW), (_FORWARDS, _ISSUED_AT), else_=_ROW.rotated_at),
            **more,
        )
        .returning(
            _ROW.outcome,
            _ROW.sid,
            _ROW.user_id,
            _ROW.cv,
            _ROW.gen,
            _ROW.rotated_at,
            _ROW.abs_exp,
            _of_account("scope"),
            _of_account("roles"),
            _of_account("verified_at"),
        )
    )


ROTATION = _statement(
    ended_at=case((_REPLAYS, _NOW), else_=_ROW.ended_at),
    end_reason=case((_REPLAYS, "replay"), else_=_ROW.end_reason),
)

# Nearly every refresh is honest, and is decided in one round trip by the statement alone. It leaves
# the others as they are: a replay also writes what it revokes, and so needs a transaction.
HONEST = _statement(not_(_REPLAYS))
_HONEST, _DECISION = Prepared(HONEST), Prepared(ROTATION)


class Refresh:
    """Exchanges refresh tokens. `grace` is the window of bare refreshes, in seconds."""

    def __init__(
        self,
        database: Database,
        log: RevocationLog,
        tokens: Tokens,
        claims: CustomClaims,
        *,
        grace: int,
        clock: Clock,
        events: Events,
    ) -> None:
        self._database = database
        self._log = log
        self._tokens = tokens
        self._claims = claims
        self._grace = grace * SECOND
        self._clock = clock
        self._events = events

    async def rotate(self, token: str, retry_key: str | None = None) -> TokenPair:
        """Exchange a refresh token for an access token and the refresh token that follows it.

        `retry_key` is the client's Idempotency-Key, the same for every retry of one refresh.

        Raises:
            InvalidRefreshToken: It is forged, expired or used, or its session has ended; if it
                was used, its session has ended now.
            RefreshSuperseded: Another request of this client has just refreshed the session.
            ClaimsUnavailable: Nothing was decided; the token is worth what it was.
            DatabaseUnavailable: Nothing was decided; the token is worth what it was.
        """
        presented = self._open(token)
        custom = await self._claims.of(presented.user_id)  # before anything is decided
        values = self._parameters(presented, retry_key)
        row = await self._database.at_once(_HONEST, values) or await self._decide(presented, values)
        return self._answer(row, presented, custom)

    async def _decide(self, presented: Presented, values: Mapping[str, object]) -> Any:
        """Decide about a refresh that is not honest, or was not a moment ago."""
        async with self._log.change() as change:
            row = await _DECISION.row(change.connection, values)
            if row is not None and row.outcome == Outcome.REPLAY:
                await change.revoke_session(row.sid)
                ended = SessionEnded(row.sid, "replay", row.user_id, row.gen, presented.gen)
                change.happened(ended)
        return row

    def _open(self, token: str) -> Presented:
        try:
            presented = self._tokens.open_refresh_token(token)
        except InvalidRefreshToken:
            raise self._invalid() from None
        if presented.expires_at <= self._clock() // SECOND:
            raise self._invalid()
        return presented

    def _invalid(self) -> InvalidRefreshToken:
        self._events.emit(Refreshed("invalid"))
        return InvalidRefreshToken()

    def _parameters(self, presented: Presented, retry_key: str | None) -> dict[str, object]:
        return {
            "fid": fid_digest(presented.fid),
            "k": presented.gen,
            "issued_at": presented.issued_at * SECOND,
            "now": self._clock(),
            "window": self._grace if retry_key is None else RETRY_WINDOW,
            "key": None if retry_key is None else digest(retry_key),
        }

    def _answer(self, row: Any, presented: Presented, custom: Made | None) -> TokenPair:
        """Turn the row into tokens, or into the refusal that is by now committed."""
        if row is None:
            raise self._invalid()
        self._events.emit(Refreshed(_REPORTED[Outcome(row.outcome)], row.sid))
        if row.outcome == Outcome.SUPERSEDED:
            raise RefreshSuperseded
        if row.outcome == Outcome.REPLAY:
            raise InvalidRefreshToken
        cv, claims = (row.cv, {}) if custom is None else (min(row.cv, custom.cv), custom.claims)
        return self._tokens.issue(
            Grant(
                row.user_id,
                row.sid,
                cv,
                row.scope,
                row.roles,
                row.verified_at is not None,
                claims,
            ),
            Generation(row.user_id, presented.fid, row.gen, row.rotated_at, row.abs_exp),
        )
