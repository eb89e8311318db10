"""The chain: what binds each entry of the audit trail to the one before, and who can have made it.

    digest(n) = SHA-256 [n, at, kind, outcome, user_id, sid, actor, detail, commitment(n),
                         digest(n - 1), mac(n - 1)]
    mac(n)    = HMAC-SHA-256 of digest(n), under a key of the root secret

The digests need no key: whoever has noted one of them elsewhere can see, with nothing but the
entries, that none up to there was changed, removed, added or moved. The MACs are what nobody can
make who has the database alone: he can compute every digest anew, and not one MAC.

Both hold on after the root secret was rotated. An entry may be attested by any of the secrets at
hand. The first one that the newest secret makes says so, and is made only by whoever has found the
entry before it attested; so it vouches for all that lies before, when the older secret has gone.

What is not bound yet has a MAC, too, or the next process would bind whatever somebody has put
there.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, Self

from limen.verify import base64url

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Entries that the trail makes about itself.
PRUNED: Final = "trail.pruned"  # the beginning was removed, as the retention says
SECRET_CHANGED: Final = "trail.secret_changed"  # noqa: S105  a kind; everything before was attested
DOUBTED: Final = "trail.doubted"  # the end was not as any secret at hand would have made it
FORGED: Final = "trail.forged"  # what waited to be bound was not written by limen, and is left out


class Entry(NamedTuple):
    """An entry, in the order of the columns; `detail` and `personal` are JSON objects.

    `personal` (`limen.audit_personal`) is None once it was erased, and where nobody asked for it.
    """

    seq: int
    at: int
    kind: str
    outcome: str
    user_id: str | None
    sid: str | None
    actor: str
    detail: str
    personal: str | None
    commitment: str
    digest: str
    mac: str

    def document(self, *, personal: bool = False) -> dict[str, Any]:
        """Return the entry as it is told outside; `time` is `at` for people."""
        members = {**self._asdict(), "detail": json.loads(self.detail)}
        members["personal"] = self.personal and json.loads(self.personal)
        if not personal:
            del members["personal"]
        time = _EPOCH + timedelta(microseconds=self.at)
        return {"seq": self.seq, "time": time.isoformat(), **members}


SAID: Final = Entry._fields[1:-2]  # what an entry says, before it has a place in the chain
_BOUND: Final = tuple(name for name in SAID if name != "personal")


class Link(NamedTuple):
    """An entry as the next one is bound to it. Noted elsewhere, it is an anchor: `4711-DIGEST`."""

    seq: int
    digest: str
    mac: str = ""

    @classmethod
    def of(cls, entry: Entry) -> Self:
        return cls(entry.seq, entry.digest, entry.mac)

    @classmethod
    def noted(cls, text: str) -> Self:
        """Return the anchor that somebody has noted.

        Raises:
            ValueError: It is none.
        """
        seq, _, digest = text.strip().partition("-")
        if not seq.isascii() or not seq.isdigit() or len(digest) != len(_sha256("")):
            raise ValueError("An anchor is a number and a digest, as 'limen audit head' shows it.")
        return cls(int(seq), digest)

    def __str__(self) -> str:
        return f"{self.seq}-{self.digest}"


BEGINNING: Final = Link(0, "")


class Attestation:
    """Makes and recognises the MACs; `keys` are those of the root secrets, newest first."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = keys

    def append(self, said: Sequence[Mapping[str, Any]], to: Link) -> list[Entry]:
        """Return what is said as entries that follow this one."""
        entries: list[Entry] = []
        for values in said:
            entry = Entry(**values, seq=to.seq + 1, digest="", mac="")
            digest = bound(entry, to)
            entries.append(entry._replace(digest=digest, mac=self.mac(digest)))
            to = Link.of(entries[-1])
        return entries

    def mac(self, digest: str) -> str:
        return base64url.encode(hmac.digest(self._keys[0], digest.encode(), "sha256"))

    def age(self, digest: str, mac: str) -> int | None:
        """Return which secret has made the MAC, 0 for the newest; None: none of those at hand."""
        for age, key in enumerate(self._keys):
            made = base64url.encode(hmac.digest(key, digest.encode(), "sha256"))
            if hmac.compare_digest(made.encode(), str(mac).encode()):
                return age
        return None


def bound(entry: Entry, before: Link) -> str:
    """Return the digest of an entry that follows this one."""
    said = [getattr(entry, name) for name in _BOUND]
    return _digest_of([entry.seq, *said, before.digest, before.mac])


def follow(entries: Sequence[Entry], before: Link) -> bool:
    """Say whether the first of these follows this one, and each of the others the one before."""
    for entry in entries:
        if entry.seq != before.seq + 1 or bound(entry, before) != entry.digest:
            return False
        before = Link.of(entry)
    return True


def waiting(name: str, said: Mapping[str, Any]) -> str:
    """Return the digest of what is said, while it waits under this name to be bound."""
    return _digest_of(["pending", name, *(said[column] for column in _BOUND)])


def as_json(value: object) -> str:
    """Return the one spelling of a value: JSON in ASCII, without spaces."""
    return json.dumps(value, separators=(",", ":"), default=repr)


def _digest_of(said: Sequence[object]) -> str:
    return _sha256(as_json(said))


def _sha256(text: str) -> str:
    return base64url.encode(hashlib.sha256(text.encode()).digest())
