"""Why a session ended, or that it lives: told in plain words, from the audit trail.

The trail knows where a session came from and how it was ended, long after its row was swept. The
row, as long as there is one, knows how it has fared in between. A session that nobody ended lapses
by itself: when it was not refreshed for the lifetime of a refresh token, or at its absolute end.
"""

import json
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal

from sqlalchemy import Row, select

from limen.audit import AuditTrail
from limen.audit_chain import Entry
from limen.audit_query import AuditQuery
from limen.clock import SECOND, Clock
from limen.database.engine import Database
from limen.database.schema import sessions

_SID = re.compile(r"[0-9a-f]{32}")

State = Literal["lives", "ended", "lapsed"]

REASONS: Final[dict[str, str]] = {
    "logout": "somebody who had its tokens signed out",
    "replay": "a refresh token that had been used before was presented again",
    "disabled": "the account was disabled",
    "password_changed": "the account was given another password",
    "password_reset": "the password was set anew, with a code from the account's mailbox",
    "email_changed": "the account was given another e-mail address",
    "access_changed": "what the account may do was changed",
    "reset_required": "the password was made worthless until it is reset with a code by mail",
    "ended_by_owner": "its owner ended it",
    "ended_by_operator": "the sessions of the account were ended",
    "deleted": "the account was deleted",
}
_ACTORS: Final = {
    "anonymous": "without an access token",
    "operator": "by an operator, on the command line",
    "program": "by the application that limen is part of",
    "limen": "by limen itself",
    "unknown": "and by whom is not in the trail",
}
_BY_TOKEN: Final = frozenset({"logout", "replay"})  # who holds a token need not say who he is


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that was done to the session: when, by whom, from where and with what."""

    at: int
    actor: str
    address: str | None = field(default=None, repr=False)
    device: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known of a session. Times in microseconds; what is not known is None.

    `refreshed` is how often it was refreshed, and `presented` which of its tokens was replayed.
    `lapses_at` is when it lapses, or has lapsed, if it is not refreshed before.
    """

    sid: str
    user_id: str | None
    state: State
    started: Deed | None
    refreshed: int | None = None
    refreshed_at: int | None = None
    lapses_at: int | None = None
    reason: str | None = None
    ended: Deed | None = None
    presented: int | None = None

    def sentences(self) -> list[str]:
        """Return the explanation, a sentence or two a line."""
        told = [f"Session {self.sid} of account {self.user_id or 'unknown'}.", self._start()]
        if self.refreshed is not None:
            told.append(self._refreshes(self.refreshed))
        match self.state:
            case "ended":
                return [*told, self._end(), *self._of_replay()]
            case "lives":
                lapse = f"It lapses at {_time(self.lapses_at)}, unless it is refreshed before."
                return [*told, f"It lives: nobody has ended it. {lapse}"]
            case _:
                when = f" at {_time(self.lapses_at)}" if self.lapses_at else ""
                why = "it had not been refreshed in time, or had reached its absolute end"
                return [*told, f"Nobody ended it. It lapsed by itself{when}: {why}."]

    def _start(self) -> str:
        if self.started is None:
            return "Its sign-in is not in the trail any more."
        return f"It began at {_time(self.started.at)} with a sign-in{_whence(self.started)}."

    def _refreshes(self, number: int) -> str:
        if not number:
            return "It was never refreshed."
        times = "once" if number == 1 else f"{number} times"
        last = f", the last time at {_time(self.refreshed_at)}" if self.refreshed_at else ""
        return f"It was refreshed {times}{last}."

    def _end(self) -> str:
        reason = REASONS.get(self.reason or "", f"the reason given is {self.reason}")
        if self.ended is None:
            return f"It ended because {reason}."
        if self.reason in _BY_TOKEN:
            return f"It ended at {_time(self.ended.at)}: {reason}{_whence(self.ended)}."
        whose = f"account:{self.user_id}"
        by = "by the account itself" if self.ended.actor == whose else _actor(self.ended.actor)
        return f"It ended at {_time(self.ended.at)}: {reason}, {by}{_whence(self.ended)}."

    def _of_replay(self) -> list[str]:
        if self.reason != "replay":
            return []
        told = ["So somebody had a copy, and the session was ended for both."]
        if self.presented is not None and self.refreshed is not None:
            which = f"refresh {self.presented}" if self.presented else "the sign-in"
            told.append(
                f"It was the token that {which} had handed out, "
                f"and the session had come to refresh {self.refreshed}."
            )
        if self._came_from_its_own_address():
            told.append(
                "It came from the address of the sign-in: perhaps the client itself, which had "
                "lost an answer and tried again without an Idempotency-Key."
            )
        return told

    def _came_from_its_own_address(self) -> bool:
        if self.started is None or self.ended is None or self.ended.address is None:
            return False
        return self.started.address == self.ended.address


class Explanations:
    """Explains sessions; `idle` is the lifetime of a refresh token, in seconds."""

    def __init__(self, database: Database, trail: AuditTrail, *, idle: int, clock: Clock) -> None:
        self._database = database
        self._trail = trail
        self._idle = idle * SECOND
        self._clock = clock

    async def explain(self, sid: str) -> Explanation | None:
        """Explain a session by its sid; None: nothing is known of it.

        Raises:
            DatabaseUnavailable: It cannot be looked up.
        """
        if not _SID.fullmatch(sid):
            return None
        await self._trail.seal()
        entries = await self._trail.entries(AuditQuery(sid=sid, personal=True))
        start = next((one for one in entries if one.kind == "sign_in"), None)
        end = next((one for one in entries if one.kind == "session.ended"), None)
        async with self._database.read() as connection:
            which = select(sessions).where(sessions.c.sid == sid)
            row = (await connection.execute(which)).one_or_none()
        if row is None and start is None and end is None:
            return None
        return self._explained(sid, row, start, end)

    def _explained(
        self, sid: str, row: Row[Any] | None, start: Entry | None, end: Entry | None
    ) -> Explanation:
        started = _deed(start) if start else None
        ended = _deed(end) if end else None
        said = json.loads(end.detail) if end else {}
        found = Explanation(
            sid,
            user_id=next((one.user_id for one in (row, end, start) if one is not None), None),
            state="lapsed" if ended is None else "ended",
            started=started,
            refreshed=said.get("generation"),
            reason=end.outcome if end else None,
            ended=ended,
            presented=said.get("presented"),
        )
        return found if row is None else self._completed(found, row)

    def _completed(self, found: Explanation, row: Row[Any]) -> Explanation:
        """Add what the row knows."""
        lapses_at = min(row.rotated_at + self._idle, row.abs_exp)
        found = replace(
            found,
            state="lives" if lapses_at > self._clock() else "lapsed",
            started=found.started or Deed(row.created_at, "unknown", row.address, row.device),
            refreshed=row.gen if found.refreshed is None else found.refreshed,
            refreshed_at=row.rotated_at if row.gen else None,
            lapses_at=lapses_at,
        )
        if row.ended_at is None:
            return found
        ended = found.ended or Deed(row.ended_at, "unknown")
        return replace(found, state="ended", ended=ended, reason=row.end_reason)


def _deed(entry: Entry) -> Deed:
    personal = json.loads(entry.personal or "{}")
    return Deed(entry.at, entry.actor, personal.get("address"), personal.get("device"))


def _whence(deed: Deed) -> str:
    address = f" from {deed.address}" if deed.address else ""
    return address + (f", with {deed.device}" if deed.device else "")


def _actor(actor: str) -> str:
    return _ACTORS.get(actor) or f"by {actor.replace(':', ' ')}"


def _time(at: int | None) -> str:
    return (
        "an unknown time"
        if at is None
        else f"{datetime.fromtimestamp(at // SECOND, UTC):%Y-%m-%d %H:%M:%S} UTC"
    )
