"""Where a session is kept between requests: in memory, or wherever you like.

A store holds one account's session, and may be shared by threads, tasks and processes. It loads
and saves whole, and has one lock, which is tried and never waited for: whoever waits does it in
its own way, asleep in a thread or in a task. A store of your own has the same three methods. They
are called directly, also from asyncio, so they must be quick.

The lock must be gone when its holder is, or nobody could refresh any more.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

Release = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Tokens:
    """A pair of tokens. `received_at` is on the clock of whoever received it.

    `account` says whose they are: a digest, the same as long as it is the same who signs in.
    `retry_key` is that of the refresh that has begun with this refresh token.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    received_at: float
    expires_in: float
    account: str = field(repr=False)
    retry_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Kept:
    """What a store holds. `device` names this device to later sign-ins; it outlives sessions.

    `issuer` is the address of the limen that both are from. To another one neither is sent.
    """

    tokens: Tokens | None = None
    device: str | None = field(default=None, repr=False)
    issuer: str | None = None


class Store(Protocol):
    def load(self) -> Kept:
        """Return what was saved last; `Kept()` if nothing was."""

    def save(self, kept: Kept) -> None:
        """Keep this instead, whole or not at all. Once this returns, it must survive a crash."""

    def try_lock(self) -> Release | None:
        """Take the lock and return what gives it back; None if somebody has it."""


class MemoryStore:
    """Keeps a session as long as the program runs. Threads and tasks may share it."""

    def __init__(self) -> None:
        self._kept = Kept()
        self._lock = threading.Lock()

    def load(self) -> Kept:
        return self._kept

    def save(self, kept: Kept) -> None:
        self._kept = kept

    def try_lock(self) -> Release | None:
        return self._lock.release if self._lock.acquire(blocking=False) else None
