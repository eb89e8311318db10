"""Deliveries: what has become of each letter of the outbox, as an operator may see it.

That is what it was about, how often it was tried and what was answered; never who got it, and
never what it said.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from sqlalchemy import func, select, tuple_

from limen.clock import SECOND, Clock
from limen.database.engine import Database
from limen.database.schema import outbox

# A letter that is due for so long waits for a process that does not run.
LATE = 300 * SECOND


State = Literal["waiting", "delivered", "failed"]


class Delivery(NamedTuple):
    """What has become of a letter; `due_at` is its next try, None when it is done with."""

    id: str
    kind: str
    subject: str
    outcome: State
    attempts: int
    created_at: int
    due_at: int | None
    finished_at: int | None
    answer: str | None


class Position(NamedTuple):
    """A place among all letters, which go from the newest to the oldest."""

    created_at: int
    id: str


class DeliveryPage(NamedTuple):
    """Some letters; there is more behind `next`, if any."""

    deliveries: Sequence[Delivery]
    next: Position | None


class Summary(NamedTuple):
    """How many letters there are: on their way, overdue among them, and given up."""

    waiting: int
    late: int
    failed: int


_COLUMNS = [outbox.c[name] for name in Delivery._fields]


class Deliveries:
    """Reads the outbox, beside whoever works it off."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def newest(self, limit: int, *, delivered: bool) -> list[Delivery]:
        """Return the newest letters; those that were `delivered` too, if it says so.

        Raises:
            DatabaseUnavailable: They cannot be read.
        """
        newest = select(*_COLUMNS).order_by(outbox.c.created_at.desc(), outbox.c.id).limit(limit)
        wanted = newest if delivered else newest.where(outbox.c.outcome != "delivered")
        async with self._database.read() as connection:
            return [Delivery(*row) for row in await connection.execute(wanted)]

    async def page(
        self, *, state: State | None = None, after: Position | None = None, limit: int
    ) -> DeliveryPage:
        """Return the newest letters in this state, from behind a position.

        Raises:
            DatabaseUnavailable: They cannot be read.
        """
        row = outbox.c
        query = select(*_COLUMNS).order_by(row.created_at.desc(), row.id.desc()).limit(limit + 1)
        if state is not None:
            query = query.where(row.outcome == state)
        if after is not None:
            query = query.where(tuple_(row.created_at, row.id) < tuple_(*after))
        async with self._database.read() as connection:
            found = [Delivery(*one) for one in await connection.execute(query)]
        last = found[limit - 1] if len(found) > limit else None
        return DeliveryPage(found[:limit], last and Position(last.created_at, last.id))

    async def summary(self) -> Summary:
        """Count them. What is done with is counted for as long as it is kept, some days.

        Raises:
            DatabaseUnavailable: They cannot be counted.
        """
        late = outbox.c.due_at < self._clock() - LATE
        counted = select(
            func.count().filter(outbox.c.outcome == "waiting"),
            func.count().filter(late),
            func.count().filter(outbox.c.outcome == "failed"),
        )
        async with self._database.read() as connection:
            return Summary(*(await connection.execute(counted.select_from(outbox))).one())
