"""What this process knows without asking the database: the keys and what was revoked.

The guard of every route reads it. It exists before anything is opened, and refuses everything
until then; while limen runs, it is brought up to date each second and at every hint.
"""

from dataclasses import dataclass
from typing import Self

from limen.clock import SECOND, Clock
from limen.key_ring import KeyRing
from limen.rounds import Rounds
from limen.settings import Settings
from limen.verify.revocations import Revocations
from limen.verify.verifier import Verifier

# The guard tolerates ten times this without an answer (limen.verify.revocations).
FOLLOW_SECONDS = 1.0

# Another worker, which has issued a token just now, may have a clock that is a little ahead.
CLOCK_SKEW_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Memory:
    """The keys, the revocations, and the verifier that reads them; renewed in `rounds`."""

    rounds: Rounds
    ring: KeyRing
    revocations: Revocations
    verifier: Verifier

    @classmethod
    def of(cls, settings: Settings, clock: Clock) -> Self:
        rounds, revocations = Rounds(FOLLOW_SECONDS), Revocations()
        ring = KeyRing([], clock, rounds)
        verifier = Verifier(
            settings.public_url,
            settings.audience,
            keys=ring,
            revocations=revocations,
            max_lifetime=settings.access_token_lifetime,
            leeway=CLOCK_SKEW_SECONDS,
            now=lambda: clock() / SECOND,
        )
        return cls(rounds, ring, revocations, verifier)
