"""What an unknown address is checked against, so that it takes the time of an account.

A hash imported from another system may cost ten times a current one, and so would single its
account out: a wrong password would take 250 ms there and 30 ms everywhere else. So unknown
addresses do not all get a current decoy. Each gets a decoy of its own kind, in the proportions
found among the real accounts:

    the kind      a keyed hash of the address chooses it: always the same one for an address, on
                  every worker that has the key, and nobody without the key can foretell it
    the choice    is a weighted rendezvous: when a share falls, only addresses of that kind move,
                  and only to kinds that rose, as real accounts do when they are upgraded
    the shares    come from a sample of the stored hashes; no hash of the sample is kept

What is left to see is a legacy account's own upgrade, by somebody who timed it before and after,
and a kind so rare that no sample ever held it, or that it is not among the 32 most common.
"""

import hmac
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from limen.stored_hashes import decoy, front_of

# A share counts as changed when it moved by more than the noise of a sample of a thousand: at
# every smaller step, unknown addresses would change their kind, and real ones would not.
NOISE = 0.05

# Only unknown addresses pay for choosing, a keyed hash a kind. A list of accounts in which every
# hash has a front of its own must not make that a time that can be told.
KINDS = 32


@dataclass(frozen=True, slots=True)
class _Kind:
    share: float
    decoy: str = field(repr=False)


class StandIns:
    """Decoys in the proportions of the real hashes; before the first sample, all are current."""

    def __init__(self, current_front: str, key: bytes) -> None:
        self._current_front = current_front
        self._key = key
        self._kinds = {current_front: _Kind(1.0, decoy(current_front))}

    def learn(self, sample: Sequence[str]) -> None:
        """Take a random sample of the stored hashes; a thousand are enough.

        A hash that cannot be read counts as a current one, because that is the work it causes.
        """
        if not sample:
            return
        fronts = Counter(front_of(stored) or self._current_front for stored in sample)
        common = dict(fronts.most_common(KINDS))
        shares = {front: number / sum(common.values()) for front, number in common.items()}
        if self._is_news(shares):
            self._kinds = {front: _Kind(share, decoy(front)) for front, share in shares.items()}

    def choose(self, email_key: str) -> str:
        """Return the decoy of this address."""
        nearest = min(self._kinds, key=lambda front: self._distance(email_key, front))
        return self._kinds[nearest].decoy

    def _is_news(self, shares: dict[str, float]) -> bool:
        known = {front: kind.share for front, kind in self._kinds.items()}
        return any(
            front not in known or abs(shares.get(front, 0.0) - known[front]) > NOISE
            for front in known.keys() | shares.keys()
        )

    def _distance(self, email_key: str, front: str) -> float:
        # Exponentially distributed with the share as its rate: the nearest is then drawn in
        # proportion to the shares (Efraimidis and Spirakis).
        message = f"{front}\0{email_key}".encode(errors="surrogatepass")
        drawn = int.from_bytes(hmac.digest(self._key, message, "sha256")[:6])
        return -math.log((drawn + 1) / (2**48 + 1)) / self._kinds[front].share
