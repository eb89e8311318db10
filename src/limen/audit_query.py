"""Asking the audit trail: which entries, in which order, how many at a time.

Pages follow each other by number: `after_seq` is the last one of the page before, whichever way
the pages go. Personal parts (addresses, devices) are read only where somebody
asks for them.

Entries are numbered as they are bound, which is the order of time, but for moments: transactions
overtake each other, and the clocks of machines differ. So a range of times is looked up as a range
of numbers that is wider by `MARGIN`, and then each entry's own time is compared.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, TextClause, and_, desc, false, null, select

from limen.audit_personal import BY_ACCOUNT
from limen.clock import SECOND
from limen.database.schema import audit

MARGIN = 15 * 60 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuery:
    """Which entries; what is None is not asked for.

    Times are in microseconds: from `since` on, and before `until`. `actor` is who acted, such as
    "operator" or "account:USER_ID"; `user_id` whom it was about.
    """

    user_id: str | None = None
    sid: str | None = None
    actor: str | None = None
    kind: str | None = None
    outcome: str | None = None
    since: int | None = None
    until: int | None = None
    after_seq: int | None = None
    limit: int = 100
    newest_first: bool = False
    personal: bool = False

    def statement(self) -> Select[Any]:
        """Return the statement, whose rows have the members of an `Entry`."""
        row = audit.c
        columns = [
            null().label(column.name) if column is row.personal and not self.personal else column
            for column in row
        ]
        order = desc(row.seq) if self.newest_first else row.seq
        return select(*columns).where(*self._which()).order_by(order).limit(self.limit)

    def _which(self) -> list[ColumnElement[bool] | TextClause]:
        row = audit.c
        named = ("user_id", "sid", "actor", "kind", "outcome")
        which: list[ColumnElement[bool] | TextClause] = [
            row[name] == value if _could_stand(value) else false()
            for name in named
            if (value := getattr(self, name)) is not None
        ]
        if self.actor is not None and self.actor.startswith("account:"):
            which.append(BY_ACCOUNT)
        if self.after_seq is not None:
            further = row.seq < self.after_seq if self.newest_first else row.seq > self.after_seq
            which.append(further)
        return [*which, *self._when()]

    def _when(self) -> list[ColumnElement[bool]]:
        row, number = audit.c, select(audit.c.seq).limit(1)
        when: list[ColumnElement[bool]] = []
        if self.since is not None:
            first = number.where(row.at >= self.since - MARGIN).order_by(row.at)
            when.append(and_(row.seq >= first.scalar_subquery(), row.at >= self.since))
        if self.until is not None:
            last = number.where(row.at < self.until + MARGIN).order_by(desc(row.at))
            when.append(and_(row.seq <= last.scalar_subquery(), row.at < self.until))
        return when


def _could_stand(text: str) -> bool:
    """Say whether the trail could hold this text; a database refuses some that it could not."""
    return text.isascii() and text.isprintable()
