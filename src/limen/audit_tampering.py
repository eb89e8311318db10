"""What can be wrong with the audit trail at the first place at which it is not limen's work.

    changed       an entry says something else than when it was written
    moved         an entry of another place stands here
    added         an entry was put here, before the beginning, or behind the end
    removed       entries are missing here, or at a beginning that nothing attests
    cut off       the end is missing: the head, or an anchor noted elsewhere, lies behind it
    erased        a personal part is missing, and no event says that it was erased
    unattested    what begins here was made with no secret at hand

An entry that does not follow the one before is looked for elsewhere, in the whole trail: where it
follows another one, it was moved. Whoever computes all digests anew leaves no such traces; what he
wrote is unattested.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from limen.audit_chain import BEGINNING, Entry, Link, bound

Tampering = Literal["changed", "moved", "added", "removed", "cut off", "erased", "unattested"]

WORDS: Final[Mapping[Tampering, str]] = {
    "changed": "it says something else than when it was written",
    "moved": "an entry of another place stands here",
    "added": "it was put here by somebody else than limen",
    "removed": "it is missing, and perhaps others behind it",
    "cut off": "the end of the trail is missing from here on",
    "erased": "its personal part is missing, and no event says that it was erased",
    "unattested": "it was made with no secret at hand, as perhaps others behind it",
}


@dataclass(frozen=True, slots=True)
class Broken:
    """The first place at which the trail is not as limen has written it."""

    seq: int
    kind: Tampering


async def why(
    entry: Entry, following: Entry | None, before: Link, pages: AsyncIterator[Sequence[Entry]]
) -> Tampering:
    """Say how an entry came to stand where it does not belong; `pages` are all there are."""
    if following is not None and _follows(following, entry.seq, before):
        here = Link.of(following)._replace(seq=entry.seq)
        return "moved" if _follows(entry, entry.seq + 1, here) else "added"
    if _follows(entry, BEGINNING.seq + 1, BEGINNING):
        return "moved"
    async for page in pages:
        for link in map(Link.of, page):
            # The one that it followed may have been moved by one, as where two change places.
            if _follows(entry, link.seq + 1, link) or _follows(entry, link.seq, link):
                return "moved"
    return "changed"


def _follows(entry: Entry, seq: int, before: Link) -> bool:
    """Say whether this would be the entry's place."""
    return bound(entry._replace(seq=seq), before) == entry.digest
