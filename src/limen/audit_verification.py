"""Verifying the audit trail: walking its chain, to the first thing that limen has not written.

The walk reads page by page, so a trail of any length needs the same memory. What limen itself does
meanwhile is no tampering: new entries lie behind the head that was read first, and where entries
were pruned during the walk it begins anew.

Entries whose secret has gone (`limen.audit_chain`) are good where what follows vouches for them: an
entry that says the secret was changed, or an anchor. Otherwise somebody who lacks the secrets may
have made them.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from json import loads
from typing import NamedTuple

from sqlalchemy import desc, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from limen.audit_chain import (
    BEGINNING,
    DOUBTED,
    PRUNED,
    SECRET_CHANGED,
    Attestation,
    Entry,
    Link,
    bound,
)
from limen.audit_personal import commitment, erasures, owner
from limen.audit_tampering import Broken, Tampering, why
from limen.database.engine import Database
from limen.database.schema import audit, audit_head

PAGE = 1000


@dataclass(frozen=True, slots=True)
class Report:
    """What a walk found: so many good entries from `first` on; `broken` is where it ended.

    `erased` of the good ones have no personal part any more. `unattested` were made under secrets
    that have gone, and are vouched for. `older` are noted anchors that lie before the beginning,
    which nothing can be compared with.
    """

    first: int
    entries: int
    erased: int
    unattested: int
    head: Link
    older: tuple[Link, ...]
    broken: Broken | None


class _Extent(NamedTuple):
    """What the trail claims to be: the numbers of its first and last entry, and its head."""

    first: int
    last: int
    head: Link


class _Found(Exception):
    def __init__(self, seq: int, kind: Tampering) -> None:
        super().__init__(seq, kind)
        self.broken = Broken(seq, kind)


async def verified(
    database: Database, attestation: Attestation, noted: Collection[Link] = ()
) -> Report:
    """Walk the whole chain; `noted` are anchors that the operator has.

    Raises:
        DatabaseUnavailable: It could not be read to its end.
    """
    while True:
        extent = await _extent(database)
        walk = _Walk(database, attestation, noted, extent)
        broken = await walk.broken()
        if broken is None or (await _extent(database)).first == extent.first:
            return walk.report(broken)


async def beginning(connection: AsyncConnection) -> Link:
    """Return what the first entry is to follow: nothing, or the last one that was pruned."""
    row = audit.c
    said = select(row.detail).where(row.kind == PRUNED).order_by(desc(row.seq)).limit(1)
    detail = (await connection.execute(said)).scalar_one_or_none()
    return BEGINNING if detail is None else _through(detail)


async def _extent(database: Database) -> _Extent:
    head, seq = audit_head.c, audit.c.seq
    wanted = (func.min(seq), func.max(seq), head.seq, head.digest, head.mac)
    at_once = select(*(select(one).scalar_subquery() for one in wanted))
    async with database.read() as connection:
        first, last, *end = (await connection.execute(at_once)).one()
    first, last = first or 1, last or 0
    # Whoever removes the head wants to hide where the trail ends.
    return _Extent(first, last, Link(last + 1, "") if end[0] is None else Link(*end))


async def _pages(database: Database, after: int, until: int) -> AsyncIterator[list[Entry]]:
    """Yield the entries behind `after`, a page at a time, up to `until`."""
    seq = audit.c.seq
    while after < until:
        further = select(audit).where(seq > after, seq <= until).order_by(seq).limit(PAGE)
        async with database.read() as connection:
            page = [Entry(*row) for row in await connection.execute(further)]
        if not page:
            return
        yield page
        after = page[-1].seq


class _Walk:
    """One walk from the beginning to the head."""

    def __init__(
        self,
        database: Database,
        attestation: Attestation,
        noted: Collection[Link],
        extent: _Extent,
    ) -> None:
        self._database = database
        self._attestation = attestation
        self._noted = {link.seq: link.digest for link in noted}
        self._noted_to = max((seq for seq in self._noted if seq <= extent.head.seq), default=0)
        self._extent = extent
        self._before, self._behind = BEGINNING, 0
        self._entries = self._erased = self._vouched = 0
        self._doubtful = self._doubtful_from = 0  # entries that nothing vouches for yet
        self._erasures: Mapping[str, int] = {}

    def report(self, broken: Broken | None) -> Report:
        return Report(
            self._extent.first,
            self._entries,
            self._erased,
            self._vouched,
            self._extent.head,
            tuple(Link(*one) for one in sorted(self._noted.items()) if one[0] < self._behind),
            broken,
        )

    async def broken(self) -> Broken | None:
        try:
            self._before = await self._beginning()
            self._behind = self._before.seq
            self._compare_with_noted(self._before)
            async for page in _pages(self._database, self._before.seq, self._extent.head.seq):
                await self._learn_of_erasures(page)
                for entry, following in zip_longest(page, page[1:]):
                    await self._look_at(entry, following)
            self._look_at_the_end()
        except _Found as found:
            return found.broken
        return None

    async def _beginning(self) -> Link:
        """Return what the first entry follows."""
        first = self._extent.first
        async with self._database.read() as connection:
            through = await beginning(connection)
        if through.seq >= first:
            raise _Found(first, "added")
        if through.seq < first - 1:
            raise _Found(through.seq + 1, "removed")
        return through

    async def _look_at(self, entry: Entry, following: Entry | None) -> None:
        expected = self._before.seq + 1
        if entry.seq != expected:
            raise _Found(expected, "removed")
        if bound(entry, self._before) != entry.digest:
            everywhere = _pages(self._database, 0, self._extent.last)
            kind = await why(entry, following, self._before, everywhere)
            raise _Found(self._blamed(expected), kind)
        self._look_who_made(entry)
        self._compare_with_noted(Link.of(entry))
        self._look_at_personal_part(entry)
        self._before = Link.of(entry)
        self._entries += 1

    def _look_who_made(self, entry: Entry) -> None:
        attested = self._attestation.age(entry.digest, entry.mac) is not None
        if attested and entry.kind == SECRET_CHANGED:
            self._vouch()
        elif entry.seq > self._noted_to:  # before an anchor, that is what vouches
            if self._doubtful and attested:
                raise _Found(self._doubtful_from, "unattested")
            if entry.kind == DOUBTED and not self._is_trusted(self._before):
                raise _Found(self._doubtful_from or entry.seq, "unattested")
        if not attested:
            self._doubtful_from = self._doubtful_from or entry.seq
            self._doubtful += 1

    def _compare_with_noted(self, link: Link) -> None:
        if (noted := self._noted.get(link.seq)) is None:
            return
        if noted != link.digest:
            kind: Tampering = "unattested" if self._doubtful else "changed"
            raise _Found(self._doubtful_from or link.seq, kind)
        self._vouch()

    def _vouch(self) -> None:
        self._vouched += self._doubtful
        self._doubtful = self._doubtful_from = 0

    def _is_trusted(self, link: Link) -> bool:
        if link == BEGINNING or link.seq in self._noted:
            return True
        return self._attestation.age(link.digest, link.mac) is not None

    def _look_at_personal_part(self, entry: Entry) -> None:
        if entry.personal is None:
            whose = owner(entry.actor, entry.user_id)
            if whose is None or self._erasures.get(whose, 0) <= entry.seq:
                raise _Found(entry.seq, "erased")
            self._erased += 1
        elif commitment(entry.personal) != entry.commitment:
            raise _Found(entry.seq, "changed")

    async def _learn_of_erasures(self, page: Sequence[Entry]) -> None:
        """Ask who erased what is missing on this page, unless the page before has told."""
        missing = {owner(one.actor, one.user_id): one.seq for one in page if one.personal is None}
        known = {one: seq for one, seq in self._erasures.items() if seq > missing.get(one, seq)}
        if unknown := [one for one in missing if one is not None and one not in known]:
            async with self._database.read() as connection:
                known.update(await erasures(connection, unknown))
        self._erasures = known

    def _blamed(self, seq: int) -> int:
        """Return the entry before, where only its MAC was changed: that is what this one misses."""
        return self._doubtful_from if self._doubtful == 1 else seq

    def _look_at_the_end(self) -> None:
        reached, head = self._before, self._extent.head
        if reached.seq < head.seq:
            raise _Found(reached.seq + 1, "cut off")
        if self._doubtful:
            raise _Found(self._doubtful_from, "unattested")
        if reached != head:
            raise _Found(head.seq, "changed")
        if self._extent.last > head.seq:
            raise _Found(head.seq + 1, "added")
        if any(seq > head.seq for seq in self._noted):
            raise _Found(head.seq + 1, "cut off")


def _through(detail: str) -> Link:
    """Return the last entry that was pruned; the beginning, if that is not what is said."""
    try:
        said = loads(detail)
        return Link(int(said["through"]), str(said["digest"]), str(said["mac"]))
    except (TypeError, ValueError, KeyError):
        return BEGINNING
