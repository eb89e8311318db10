"""Statements that are compiled once, and then only run.

SQLAlchemy remembers what it has compiled. To find it there it takes the whole statement apart, each
time, and so does whoever builds it anew; then it wraps the rows that come. For the statements of a
login that costs more than running them. Here a statement is built once, with named parameters for
all that changes, and what is kept is its text, which goes to the driver as it is.

So do the values, and rows come as the driver makes them: it is for columns of whole numbers and of
text. A list whose length varies (`in_`) has no one text. psycopg, too, remembers a text that it has
read, if it has no more than 4,096 bytes: a test keeps the hot ones below that.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Dialect
from sqlalchemy.exc import MultipleResultsFound
from sqlalchemy.ext.asyncio import AsyncConnection

from limen.database.connections import driver_of


class _Compiled(NamedTuple):
    """The text, the constants in it, and the order of its values where they have no names."""

    text: str
    constants: Mapping[str, Any]
    order: Sequence[str] | None

    def given(self, values: Mapping[str, object]) -> Any:
        named = {**self.constants, **values}
        return named if self.order is None else [named[name] for name in self.order]


class Prepared:
    """A statement, compiled once for each kind of database that runs it."""

    def __init__(self, statement: Any) -> None:
        self.statement = statement
        columns = [(name, Any) for name in statement.exported_columns.keys()]  # noqa: SIM118  no dict
        self._row: Any = NamedTuple("_Row", columns)  # type: ignore[misc]
        self._compiled: dict[str, _Compiled] = {}

    async def rows(self, connection: AsyncConnection, values: Mapping[str, object]) -> list[Any]:
        """Run it with these values of its named parameters; return its rows, named tuples."""
        compiled = self._for(connection.dialect)
        found = await driver_of(connection).ask(compiled.text, compiled.given(values))
        return [self._row._make(row) for row in found]

    async def row(self, connection: AsyncConnection, values: Mapping[str, object]) -> Any:
        """Run it, and return its row, or None.

        Raises:
            MultipleResultsFound: It has more than one.
        """
        found = await self.rows(connection, values)
        if len(found) > 1:
            raise MultipleResultsFound
        return found[0] if found else None

    def later(
        self,
        connection: AsyncConnection,
        values: Mapping[str, object],
        *,
        rows: int | None = None,
    ) -> None:
        """Run it with the next statement of this transaction, or its commit, for what it does.

        If it has to return so many `rows`, and does not, that raises UnexpectedRows, and nothing
        is committed.
        """
        compiled = self._for(connection.dialect)
        driver_of(connection).defer(compiled.text, compiled.given(values), rows)

    async def each(self, connection: AsyncConnection, many: Sequence[Mapping[str, object]]) -> None:
        """Run it with each of many values, in one go, for what it does alone."""
        if many:
            compiled = self._for(connection.dialect)
            given = [compiled.given(values) for values in many]
            await driver_of(connection).ask_each(compiled.text, given)

    def _for(self, dialect: Dialect) -> _Compiled:
        known = self._compiled.get(dialect.name)
        if known is None:
            made = self.statement.compile(dialect=dialect)
            order = getattr(made, "positiontup", None)
            known = self._compiled[dialect.name] = _Compiled(str(made), made.params, order)
        return known
