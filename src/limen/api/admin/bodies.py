"""What the administration takes and answers. Times are in RFC 3339, in UTC and whole seconds.

Each answer names its members one by one: what is not named here is not shown, whatever a row holds.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from limen.account_search import State, state_of
from limen.accounts import Account
from limen.api.bodies import Body, moment
from limen.audit_chain import Entry
from limen.deliveries import Delivery
from limen.deliveries import State as LetterState
from limen.key_ring import KeyState, SigningKey
from limen.own_sessions import OwnSession

WordsText = Annotated[str, Field(max_length=1024, pattern=r"^[ -~]*$")]


class AccessBody(Body):
    """Scopes and roles; what is left out stays as it is, and an empty text takes all away."""

    scope: WordsText | None = None
    roles: WordsText | None = None


class RotateBody(Body):
    emergency: bool = False


class UserReply(BaseModel):
    """An account. It never says anything of its password but that a new one is needed."""

    user_id: str
    email: str
    scope: str
    roles: str
    state: State
    created_at: str
    verified_at: str | None
    disabled_at: str | None
    reset_required_at: str | None

    @classmethod
    def of(cls, account: Account) -> "UserReply":
        return cls(
            user_id=account.user_id,
            email=account.email,
            scope=account.scope,
            roles=account.roles,
            state=state_of(account),
            created_at=moment(account.created_at),
            verified_at=_moment(account.verified_at),
            disabled_at=_moment(account.disabled_at),
            reset_required_at=_moment(account.reset_required_at),
        )


class UsersReply(BaseModel):
    users: list[UserReply]
    next: str | None


class UserSessionReply(BaseModel):
    """A session that goes on; `last_seen` is its last refresh."""

    sid: str
    device: str | None
    address: str | None
    first_seen: str
    last_seen: str
    expires_at: str

    @classmethod
    def of(cls, session: OwnSession) -> "UserSessionReply":
        return cls(
            sid=session.sid,
            device=session.device,
            address=session.address,
            first_seen=moment(session.first_seen),
            last_seen=moment(session.last_seen),
            expires_at=moment(session.expires_at),
        )


class UserSessionsReply(BaseModel):
    """Those that go on, the last seen first. `complete` is false past a hundred."""

    sessions: list[UserSessionReply]
    complete: bool


class KeyReply(BaseModel):
    """What everybody may know of a signing key."""

    kid: str
    algorithm: str
    state: KeyState
    created_at: str
    signs_from: str
    retires_at: str | None

    @classmethod
    def of(cls, key: SigningKey, state: KeyState) -> "KeyReply":
        return cls(
            kid=key.kid,
            algorithm=key.algorithm,
            state=state,
            created_at=moment(key.created_at),
            signs_from=moment(key.signs_from),
            retires_at=_moment(key.retires_at),
        )


class KeysReply(BaseModel):
    keys: list[KeyReply]


class EntryReply(BaseModel):
    """An entry of the trail; `address` and `device` are None where they are not known or erased."""

    seq: int
    at: str
    kind: str
    outcome: str
    user_id: str | None
    sid: str | None
    actor: str
    address: str | None
    device: str | None
    detail: dict[str, Any]

    @classmethod
    def of(cls, entry: Entry) -> "EntryReply":
        personal = json.loads(entry.personal or "{}")
        return cls(
            seq=entry.seq,
            at=moment(entry.at),
            kind=entry.kind,
            outcome=entry.outcome,
            user_id=entry.user_id,
            sid=entry.sid,
            actor=entry.actor,
            address=personal.get("address"),
            device=personal.get("device"),
            detail=json.loads(entry.detail),
        )


class AuditReply(BaseModel):
    entries: list[EntryReply]
    next: str | None


class LetterReply(BaseModel):
    """What became of a letter of the outbox; `next_try_at` is None when it is done with."""

    id: str
    kind: str
    subject: str
    state: LetterState
    attempts: int
    created_at: str
    next_try_at: str | None
    finished_at: str | None
    answer: str | None

    @classmethod
    def of(cls, letter: Delivery) -> "LetterReply":
        return cls(
            id=letter.id,
            kind=letter.kind,
            subject=letter.subject,
            state=letter.outcome,
            attempts=letter.attempts,
            created_at=moment(letter.created_at),
            next_try_at=_moment(letter.due_at),
            finished_at=_moment(letter.finished_at),
            answer=letter.answer,
        )


class OutboxReply(BaseModel):
    letters: list[LetterReply]
    next: str | None


class SettingReply(BaseModel):
    """An option as it stands, where it comes from, and what it is for."""

    variable: str
    value: str
    source: Literal["environment", "program", "default"]
    reason: str


class SettingsReply(BaseModel):
    settings: list[SettingReply]


def _moment(microseconds: int | None) -> str | None:
    return None if microseconds is None else moment(microseconds)
