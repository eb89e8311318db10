"""Tokens that were verified already, so that their signatures are not computed again.

What is kept is that a key has signed exactly these bytes, for us. Whatever can change is looked at
each time: the key must still be the one that is known by its kid, the time must not be over,
nothing must have been revoked.

There are two halves. A token is put into the young one, and again when it is found in the old one;
when the young one is full it becomes the old one, whose tokens are forgotten. What is in use stays,
and nothing has to be locked, which a fork in the wrong moment would leave locked for ever.
"""

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
    """The last tokens that were verified, `size` at most, by the whole token; 0 keeps none."""

    def __init__(self, size: int = SIZE) -> None:
        self._half = size // 2
        self._young: dict[str, Verified] = {}
        self._old: dict[str, Verified] = {}

    def get(self, token: str) -> Verified | None:
        found = self._young.get(token)
        if found is None and (found := self._old.get(token)) is not None:
            self.put(token, found)
        return found

    def put(self, token: str, verified: Verified) -> None:
        if len(self._young) >= self._half:
            self._young, self._old = {}, self._young
        if self._half:
            self._young[token] = verified

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())
