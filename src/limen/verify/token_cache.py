"""Tokens that were verified already, so that their signatures are not computed again.

What is kept is that a key has signed exactly these bytes. Whatever can change is looked at each
time: the key must still be the one that is known by its kid, the time must not be over, nothing
must have been revoked. The cache is bounded; the oldest entry makes room.
"""

import threading
from dataclasses import dataclass

from limen.verify.claims import Claims
from limen.verify.keyset import VerificationKey

SIZE = 4096  # tokens, about a kilobyte each


@dataclass(frozen=True, slots=True)
class Verified:
    """The claims of a token, and the key that has signed it."""

    claims: Claims
    key: VerificationKey


class TokenCache:
    """The last `size` tokens that were verified, by the whole token; 0 keeps none."""

    def __init__(self, size: int = SIZE) -> None:
        self._size = size
        self._verified: dict[str, Verified] = {}
        self._writing = threading.Lock()

    def get(self, token: str) -> Verified | None:
        return self._verified.get(token)

    def put(self, token: str, verified: Verified) -> None:
        with self._writing:
            if len(self._verified) >= self._size and self._verified:
                del self._verified[next(iter(self._verified))]
            if self._size:
                self._verified[token] = verified

    def __len__(self) -> int:
        return len(self._verified)
