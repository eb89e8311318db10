"""PostgreSQL 14 and later, through psycopg 3: one database for many machines.

Connections are opened from the URL as libpq reads it, so that `sslmode`, several hosts and
`target_session_attrs=read-write` mean what they mean everywhere. READ COMMITTED is what the
statements are written for: each decides by the newest row, under that row's lock. Each commits by
itself, unless BEGIN was asked before. No statement waits for ever: past its timeout it is an
outage, answered 503, and the connection is good again.

Behind a pooler that gives out connections by the transaction (PgBouncer), statements are not
prepared on the server: they would be looked for on another connection.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Any, Self, cast

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import PipelineStatus
from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from limen.database.connections import Connections, Deferred, driver_of
from limen.database.engine import Database
from limen.events import Events

CONNECT_SECONDS = 3
PATIENCE_SECONDS = 3
CHANNEL = "limen"

# What says that a connection is of no more use, by SQLSTATE: it was cut, or the server goes down.
# One that began read-only stays so, too, when the database may long be written again.
_SPOILING = ("08", "57P")

# A peer that vanished without a word is noticed within seconds, not after the kernel's two hours.
_KEEPALIVE: dict[str, Any] = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,
}


class PostgreSQL(Database):
    """An open PostgreSQL database.

    This process has up to `connections` connections, and one more for hints unless it is
    `behind_pooler`; a statement may take `statement_timeout` seconds.
    """

    def __init__(
        self,
        url: str,
        events: Events,
        *,
        connections: int,
        statement_timeout: int,
        behind_pooler: bool,
    ) -> None:
        self._url = url
        self._behind_pooler = behind_pooler
        self._statement_timeout = statement_timeout
        engine = create_async_engine(
            "postgresql+psycopg://",
            async_creator=self.connect,
            poolclass=NullPool,
            pool_reset_on_return=None,
            hide_parameters=True,
        )
        both = Connections(engine, connections, PATIENCE_SECONDS, spoils=_spoils)
        super().__init__(both, both, events, psycopg)

    def insert(self, table: Table) -> Any:
        return insert(table)

    async def connect(self) -> "Connection":
        """Open a connection, of which nobody else knows."""
        session: dict[str, Any] = {} if self._behind_pooler else {"options": self._session()}
        connection = await Connection.connect(
            self._url,
            autocommit=True,
            cursor_factory=Cursor,
            connect_timeout=CONNECT_SECONDS,
            **_KEEPALIVE,
            **session,
        )
        if self._behind_pooler:
            connection.prepare_threshold, connection.sends_together = None, False
        connection.adapters.register_loader("uuid", _Hex128)
        return connection

    async def announce(self, connection: AsyncConnection) -> None:
        driver_of(connection).defer(f"SELECT pg_notify('{CHANNEL}', '')")

    async def _heard(self) -> AsyncIterator[None]:
        if self._behind_pooler:  # it would give the listening connection to somebody else
            await asyncio.Future()
        async with await self.connect() as connection:
            await connection.execute(f"LISTEN {CHANNEL}".encode())
            yield
            async for _ in connection.notifies():
                yield

    def _session(self) -> str:
        options = {
            "statement_timeout": f"{self._statement_timeout}s",
            "lock_timeout": f"{self._statement_timeout}s",
            "idle_in_transaction_session_timeout": f"{2 * self._statement_timeout}s",
        }
        return " ".join(f"-c {name}={value}" for name, value in options.items())


class Connection(psycopg.AsyncConnection[Any]):
    """A connection as `limen.database.connections` lends it.

    What was deferred is sent together with what is asked next, in a pipeline: there and back once.
    Not so where it `sends_together` nothing, behind a pooler: psycopg ends a pipeline with one
    message more, and after a COMMIT PgBouncer keeps a server busy for it that nobody uses.

    A task that is cancelled in the wrong moment leaves the pipeline open. Then it is broken.
    """

    sends_together = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._deferred: list[Deferred] = []

    @property
    def is_broken(self) -> bool:
        return self.closed or self.pgconn.pipeline_status != PipelineStatus.OFF

    def defer(self, text: str, values: Any = None, rows: int | None = None) -> None:
        """Have a statement run before what is asked next; it may have to return so many rows."""
        self._deferred.append(Deferred(text, values, rows))

    async def ask(self, text: str, values: Any = None) -> Sequence[tuple[Any, ...]]:
        """Run a statement; return its rows."""
        cursor = await self.execute(cast(Any, text), values)
        return await cursor.fetchall() if cursor.description else ()

    async def ask_each(self, text: str, many: Sequence[Any]) -> None:
        """Run a statement with each of many values."""
        await self.cursor().executemany(cast(Any, text), many)

    async def commit(self) -> None:
        """Commit what was begun, once as many rows have come as should."""
        if any(one.rows is not None for one in self._deferred):
            async with self.together():
                pass
        if self._deferred:
            await self.execute("COMMIT")
        else:
            await super().commit()

    async def abandon(self) -> None:
        """Roll back whatever was begun: a statement under way has ended with its task."""
        self._deferred.clear()
        await self.rollback()

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """Send what was deferred together with what is asked in the block."""
        deferred, self._deferred = self._deferred, []
        async with self.pipeline() if deferred and self.sends_together else nullcontext():
            asked = [
                await psycopg.AsyncCursor(self).execute(cast(Any, one.text), one.values)
                for one in deferred
            ]
            yield
        for one, cursor in zip(deferred, asked, strict=True):
            if one.rows is not None:
                one.check(await cursor.fetchall())


class Cursor(psycopg.AsyncCursor[Any]):
    """A cursor that takes along what was deferred, whoever asks it: limen or SQLAlchemy."""

    async def execute(self, *arguments: Any, **options: Any) -> Self:
        async with cast(Connection, self.connection).together():
            return await super().execute(*arguments, **options)

    async def executemany(self, *arguments: Any, **options: Any) -> None:
        async with cast(Connection, self.connection).together():
            await super().executemany(*arguments, **options)


class _Hex128(Loader):
    """Reads a uuid as what `limen.database.hex128` writes."""

    def load(self, data: Buffer) -> str:
        return bytes(data).replace(b"-", b"").decode()


def _spoils(error: BaseException) -> bool:
    cause = getattr(error, "orig", error)
    if isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
        return cause.sqlstate is None or cause.sqlstate.startswith(_SPOILING)  # None: it was cut
    return isinstance(cause, psycopg.errors.ReadOnlySqlTransaction)
