"""Everything that can happen, as values.

One decision makes one event; logs and metrics subscribe to it, so that no feature knows who is
listening. An event carries identifiers, never an e-mail address, a password, a token or a client
address.

What changes something is recorded, too: recorders write what has happened in the transaction in
which it happens (`limen.revocation.Change`), and subscribers hear of it once that is committed.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

SignInOutcome = Literal[
    "success", "invalid_credentials", "email_not_verified", "too_many_attempts", "busy"
]
RefreshOutcome = Literal[
    "rotated", "coalesced", "same_successor", "fast_forwarded", "superseded", "replayed", "invalid"
]
EndReason = Literal[
    "logout",
    "replay",
    "disabled",
    "password_changed",
    "password_reset",
    "email_changed",
    "access_changed",
    "reset_required",
    "ended_by_owner",
    "ended_by_operator",
    "deleted",
]
Change = Literal[
    "disabled",
    "enabled",
    "password_changed",
    "password_reset",
    "email_verified",
    "email_changed",
    "access_changed",
    "reset_required",
    "locked",
    "sessions_ended",
    "other_sessions_ended",
    "invited",
    "invitation_accepted",
    "deleted",
    "erased",
]
Purpose = Literal["verify", "reset", "email_change", "invite"]
WebhookChange = Literal["created", "disabled", "enabled", "deleted", "secret_rotated"]
LetterKind = Literal["mail", "webhook", "request"]
LetterOutcome = Literal["delivered", "failed", "retried"]
Retirement = Literal["planned", "emergency"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened."""


@dataclass(frozen=True, slots=True)
class Registered(Event):
    """An account was made; `scope` is what it may do from the start, None if that is nothing."""

    user_id: str
    scope: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class SignIn(Event):
    """An attempt to sign in was decided; `user_id` is None where nobody has the address.

    It is None, too, where the password was not looked at. A session starts only with a success.
    """

    outcome: SignInOutcome
    user_id: str | None = None
    sid: str | None = None


@dataclass(frozen=True, slots=True)
class LimitHit(Event):
    """A limit refused an attempt; `limit` is its policy name, such as "login"."""

    limit: str


@dataclass(frozen=True, slots=True)
class Refreshed(Event):
    """A refresh token was presented; `sid` is None where it was not authentic or had expired."""

    outcome: RefreshOutcome
    sid: str | None = None


@dataclass(frozen=True, slots=True)
class SessionEnded(Event):
    """A session ended before its time, when it had been refreshed `generation` times.

    Of a replay, `presented` is the generation whose token came again.
    """

    sid: str
    reason: EndReason
    user_id: str
    generation: int | None = field(default=None, compare=False)
    presented: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class AccountChanged(Event):
    """An account was changed; `scope` and `roles` are what it may do from now on, if that was."""

    user_id: str
    change: Change
    scope: str | None = field(default=None, compare=False)
    roles: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class CodeIssued(Event):
    """A code was made, and is on its way to a mailbox."""

    user_id: str
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class CodeRefused(Event):
    """A wrong, used or expired code was presented; `user_id` is None where it names nobody."""

    purpose: Purpose
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class Posted(Event):
    """Something from the outbox was delivered, given up, or put off to be tried again."""

    kind: LetterKind
    outcome: LetterOutcome


@dataclass(frozen=True, slots=True)
class LetterHurried(Event):
    """An administrator had a letter that waits in the outbox tried at once."""

    letter: str


@dataclass(frozen=True, slots=True)
class PasswordUpgraded(Event):
    """A correct password was hashed anew, with the current parameters."""

    user_id: str
    scheme: str


@dataclass(frozen=True, slots=True)
class PasswordHashed(Event):
    """A hash was computed or verified; seconds waited for a thread, and seconds in it."""

    waited: float
    took: float


@dataclass(frozen=True, slots=True)
class HashingRefused(Event):
    """The hashing queue was full; `first` is true once a minute, of however many."""

    first: bool = True


@dataclass(frozen=True, slots=True)
class BreachCheckFailed(Event):
    """The list of leaked passwords gave no answer that can be used; `why` says so in words."""

    why: str


@dataclass(frozen=True, slots=True)
class KeyCreated(Event):
    kid: str
    algorithm: str


@dataclass(frozen=True, slots=True)
class KeysRetired(Event):
    """A new signing key takes the place of all others: in time, or at once."""

    successor: str
    how: Retirement


@dataclass(frozen=True, slots=True)
class ClientCreated(Event):
    """A service was given credentials to ask about tokens with."""

    client_id: str


@dataclass(frozen=True, slots=True)
class ClientDeleted(Event):
    client_id: str


@dataclass(frozen=True, slots=True)
class WebhookChanged(Event):
    """Somebody is to be told of what happens, or is not any more; or with another secret."""

    webhook: str
    change: WebhookChange


@dataclass(frozen=True, slots=True)
class Swept(Event):
    """Expired rows were removed from one table."""

    table: str
    rows: int


@dataclass(frozen=True, slots=True)
class DatabaseFailed(Event):
    """A statement could not be run; `kind` is SQLite's name for it, or the exception's."""

    kind: str


Subscriber = Callable[[Event], None]
Recorder = Callable[[Any, Sequence[Event]], Awaitable[None]]  # in the transaction of a connection

_logger = logging.getLogger(__name__)


class Events:
    """Hands each event to every subscriber, in the order they subscribed.

    What is reported has happened: a subscriber that fails is logged and changes nothing. A token
    that was rotated must reach its client, whatever becomes of a counter.
    """

    def __init__(self, *subscribers: Subscriber) -> None:
        self._subscribers = list(subscribers)

    def subscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.append(subscriber)

    def emit(self, event: Event) -> None:
        for subscriber in self._subscribers:
            try:
                subscriber(event)
            except Exception:
                _logger.exception("a subscriber failed", extra={"on": type(event).__name__})
