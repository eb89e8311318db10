"""Everything that can happen, as values.

One decision emits one event; logs and metrics subscribe to it, so that no feature knows who is
listening. An event carries identifiers, never an e-mail address, a password, a token or a client
address.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

SignInOutcome = Literal["success", "invalid_credentials", "too_many_attempts", "busy"]
RefreshOutcome = Literal[
    "rotated", "coalesced", "same_successor", "fast_forwarded", "superseded", "replayed", "invalid"
]
EndReason = Literal["logout", "replay", "disabled", "password_changed", "ended_by_operator"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened."""


@dataclass(frozen=True, slots=True)
class Registered(Event):
    user_id: str


@dataclass(frozen=True, slots=True)
class SignIn(Event):
    """An attempt to sign in was decided; `user_id` and `sid` are known only after a success."""

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
    sid: str
    reason: EndReason


@dataclass(frozen=True, slots=True)
class AccountChanged(Event):
    """An account's credential version was raised: all its sessions and tokens are void."""

    user_id: str
    change: Literal["disabled", "password_changed", "sessions_ended"]


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
    """The hashing queue was full."""


@dataclass(frozen=True, slots=True)
class KeyCreated(Event):
    kid: str
    algorithm: str


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
