"""The signing keys in memory: which one signs, which verify, which are published.

    published          signing             verifying only         gone
    |------------------|-------------------|----------------------|
    created_at         signs_from          successor signs        retires_at

The state of a key follows from these moments and the present: nothing is to be switched, so no
two workers can disagree. HMAC keys stay out of the key set.

A kid that is not here may belong to a key that another worker made a moment ago. `renew` waits
until what that worker announced has been read. A thread cannot wait for that: it judges with what
is known, and the event loop reads the keys anew at the latest after a second.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from joserfc.jwk import Key, OctKey

from limen.clock import Clock
from limen.rounds import Rounds
from limen.verify.keyset import VerificationKey

KeyState = Literal["next", "current", "retiring", "retired"]


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key with the moments of its life (microseconds); `retires_at` is None while it is open."""

    kid: str
    algorithm: str
    key: Key
    created_at: int
    signs_from: int
    retires_at: int | None

    def is_retired(self, now: int) -> bool:
        return self.retires_at is not None and self.retires_at <= now

    def state(self, now: int, current: str) -> KeyState:
        """Return "next", "current", "retiring" or "retired"."""
        if self.is_retired(now):
            return "retired"
        if self.kid == current:
            return "current"
        return "next" if self.signs_from > now else "retiring"


class KeyRing:
    """The keys of this limen, in memory: signs, verifies, publishes."""

    def __init__(
        self, keys: Iterable[SigningKey], clock: Clock, rounds: Rounds | None = None
    ) -> None:
        """Hold these keys; `rounds` are those in which they are read anew."""
        self._clock = clock
        self._rounds = rounds
        self.replace(keys)

    def replace(self, keys: Iterable[SigningKey]) -> None:
        """Take over what the database holds now."""
        self.all = sorted(keys, key=lambda key: (key.signs_from, key.kid))
        self._by_kid = {
            key.kid: (key, VerificationKey(key.kid, key.algorithm, key.key)) for key in self.all
        }

    def find(self, kid: str) -> VerificationKey | None:
        """Return the key that verifies tokens of this `kid`, unless it has retired."""
        key, verification = self._by_kid.get(kid, (None, None))
        return None if key is None or key.is_retired(self._clock()) else verification

    async def renew(self, _kid: str, _issued_at: int, /) -> bool:
        """Wait until the keys have been read anew; return whether that could be done."""
        return self._rounds is not None and await self._rounds.anew()

    def renew_blocking(self, _kid: str, _issued_at: int, /) -> bool:
        """Return True: judge with what is known, for only the event loop reads keys here."""
        return True

    def states(self) -> list[tuple[SigningKey, KeyState]]:
        """Return every key with the state that it is in now, in the order of their lives."""
        now, current = self._clock(), self.signing.kid
        return [(key, key.state(now, current)) for key in self.all]

    @property
    def signing(self) -> SigningKey:
        """The key that signs now: the newest whose time has come."""
        living = self._living() or self.all
        ready = [key for key in living if key.signs_from <= self._clock()]
        return (ready or living)[-1 if ready else 0]  # a clock set back leaves the first key

    def jwks(self) -> dict[str, Any]:
        """Return the public key set (RFC 7517): no private member, no HMAC key."""
        return {
            "keys": [
                {**key.key.as_dict(private=False), "alg": key.algorithm, "use": "sig"}
                for key in self._living()
                if not isinstance(key.key, OctKey)
            ]
        }

    def _living(self) -> list[SigningKey]:
        now = self._clock()
        return [key for key in self.all if not key.is_retired(now)]
