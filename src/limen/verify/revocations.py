"""What has been revoked, known in memory.

An access token is good until it expires, unless its session has ended or its account's
credentials have changed since. The issuer writes each such change into a log, numbered in the
order of commit; whoever verifies tokens follows the log and keeps the entries that still matter.
A check is two dictionary look-ups and no I/O.

    session   this session has ended                        the digest of its sid
    account   tokens with a lower `cv` than this are void   the digest of its user_id; the highest
                                                            floor wins, in any order
    keys      the signing keys have changed                 nothing to remember here

Sessions and accounts are named by digests, so that the log can be published and names nobody.
Entries may arrive twice and in any order; the outcome is the same. An entry is forgotten when the
last token that it covers has expired.

Not knowing is not a yes. If the log could not be followed for `bound` seconds, a token that is
not known as revoked is neither good nor bad, and the answer is 503: a 401 would make honest
clients throw their tokens away. What is known as revoked stays refused.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Literal

from limen.verify import base64url
from limen.verify.claims import Claims
from limen.verify.elapsed import elapsed
from limen.verify.errors import InvalidToken, RevocationsStale

# Long enough for a pull every second to fail a few times, short enough to be called "at once".
BOUND_SECONDS = 10.0

Kind = Literal["session", "account", "keys"]


def subject_digest(identifier: str) -> str:
    """Return what a sid or user_id is called in the log: its SHA-256, base64url, no padding."""
    return base64url.encode(sha256(identifier.encode("utf-8")).digest())


# Who comes comes again, so the last digests that were asked for are kept.
_remembered_digest = lru_cache(maxsize=8192)(subject_digest)


@dataclass(frozen=True, slots=True)
class Revocation:
    """One entry of the log.

    `subject` is the digest of a sid or user_id; `value` is the lowest `cv` still good, for
    accounts only; `expires_at` is in seconds since the Unix epoch.
    """

    seq: int
    kind: Kind
    subject: str
    value: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class _Floor:
    cv: int
    expires_at: int


class Revocations:
    """The live entries of the log, and how lately it was read.

    `bound` is the longest time in seconds without a full pull after which answers are still given.
    """

    def __init__(
        self, *, bound: float = BOUND_SECONDS, monotonic: Callable[[], float] = elapsed
    ) -> None:
        self.seq = 0
        self._bound = bound
        self._monotonic = monotonic
        self._synced_at = -math.inf
        self._sessions: dict[str, int] = {}
        self._accounts: dict[str, _Floor] = {}

    def apply(self, entries: Iterable[Revocation]) -> None:
        """Take over entries of the log. `seq` is then the highest number seen."""
        for entry in entries:
            if entry.kind == "session":
                known = self._sessions.get(entry.subject, 0)
                self._sessions[entry.subject] = max(known, entry.expires_at)
            elif entry.kind == "account":
                floor = self._accounts.get(entry.subject, _Floor(0, 0))
                self._accounts[entry.subject] = _Floor(
                    max(floor.cv, entry.value), max(floor.expires_at, entry.expires_at)
                )
            self.seq = max(self.seq, entry.seq)

    def synced(self, *, ago: float = 0.0) -> None:
        """Note that everything was applied that stood in the log, `ago` seconds before now."""
        self._synced_at = self._monotonic() - ago

    @property
    def age(self) -> float:
        """The seconds since the log was read to its end; infinite if it never was."""
        return self._monotonic() - self._synced_at

    @property
    def is_fresh(self) -> bool:
        """Whether the log was read to its end within the last `bound` seconds."""
        return self.age <= self._bound

    def check(self, claims: Claims) -> None:
        """Let the claims pass if they are known to be still good.

        Raises:
            InvalidToken: "ended": the session, or all of the account's older tokens, are revoked.
            RevocationsStale: Not known as revoked, but the log was not read for too long, or never.
        """
        if _remembered_digest(claims.sid) in self._sessions:
            raise InvalidToken("ended")
        floor = self._accounts.get(_remembered_digest(claims.user_id))
        if floor is not None and claims.cv < floor.cv:
            raise InvalidToken("ended")
        if not self.is_fresh:
            raise RevocationsStale

    def expire(self, now: int) -> None:
        """Forget the entries that expired at `now` (seconds since the Unix epoch) or before."""
        self._sessions = {s: end for s, end in self._sessions.items() if end > now}
        self._accounts = {a: floor for a, floor in self._accounts.items() if floor.expires_at > now}

    def __len__(self) -> int:
        return len(self._sessions) + len(self._accounts)
