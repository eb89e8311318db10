"""Statements that are compiled once, and then only run.

SQLAlchemy remembers what it has compiled. To find it there it takes the whole statement apart, each
time, and so does whoever builds it anew; for the statements of a login that costs more than
running them. Here a statement is built once, with named parameters for all that changes, and what
is kept is its text.

The values pass to the driver as they are, and rows come as the driver makes them: it is for columns
of whole numbers and of text. A list whose length varies (`in_`) has no one text. psycopg, too,
remembers a text that it has read, if it has no more than 4,096 bytes: a test keeps the hot ones
below that.
"""

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import CursorResult, Dialect
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import ClauseElement


class _Compiled(NamedTuple):
    """The text, the constants in it, and what puts values in order where they have no names."""

    text: str
    constants: Mapping[str, Any]
    in_order: Callable[[Mapping[str, object]], Any]


class Prepared:
    """A statement, compiled once for each kind of database that runs it."""

    def __init__(self, statement: ClauseElement) -> None:
        self.statement = statement
        self._compiled: dict[str, _Compiled] = {}

    async def run(
        self, connection: AsyncConnection, values: Mapping[str, object]
    ) -> CursorResult[Any]:
        """Run it with these values of its named parameters."""
        compiled = self._for(connection.dialect)
        given = compiled.in_order({**compiled.constants, **values})
        return await connection.exec_driver_sql(compiled.text, given)

    def _for(self, dialect: Dialect) -> _Compiled:
        known = self._compiled.get(dialect.name)
        if known is None:
            made = self.statement.compile(dialect=dialect)
            order = getattr(made, "positiontup", None)
            in_order = itemgetter(*order) if order else _as_they_are
            known = self._compiled[dialect.name] = _Compiled(str(made), made.params, in_order)
        return known


def _as_they_are(values: Mapping[str, object]) -> Mapping[str, object]:
    return values
