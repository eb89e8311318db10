"""PostgreSQL 14 and later, through psycopg 3: one database for many machines.

Connections are opened from the URL as libpq reads it, so that `sslmode`, several hosts and
`target_session_attrs=read-write` mean what they mean everywhere. READ COMMITTED is what the
statements are written for: each decides by the newest row, under that row's lock. No statement
waits for ever: past its timeout it is an outage, answered 503, and the connection is good again.

Behind a pooler that gives out connections by the transaction (PgBouncer), statements are not
prepared on the server: they would be looked for on another connection.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
from sqlalchemy import Table, event
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from limen.database.engine import ALONE, Database
from limen.events import Events

CONNECT_SECONDS = 3
POOL_SECONDS = 3
CHANNEL = "limen"

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
        engine = self._engine(connections)
        reader = engine.execution_options(isolation_level="AUTOCOMMIT")
        alone = reader.execution_options(**{ALONE: True})
        super().__init__(engine, reader, alone, events, failures=(psycopg.Error,))

    def insert(self, table: Table) -> Any:
        return insert(table)

    async def connect(self) -> psycopg.AsyncConnection[Any]:
        """Open a connection of its own, outside the pool."""
        session: dict[str, Any] = {} if self._behind_pooler else {"options": self._session()}
        connection = await psycopg.AsyncConnection.connect(
            self._url, connect_timeout=CONNECT_SECONDS, **_KEEPALIVE, **session
        )
        if self._behind_pooler:
            connection.prepare_threshold = None
        return connection

    async def announce(self, connection: AsyncConnection) -> None:
        await connection.exec_driver_sql(f"SELECT pg_notify('{CHANNEL}', '')")

    async def _heard(self) -> AsyncIterator[None]:
        if self._behind_pooler:  # it would give the listening connection to somebody else
            await asyncio.Future()
        async with await self.connect() as connection:
            await connection.set_autocommit(True)
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

    def _engine(self, connections: int) -> AsyncEngine:
        engine = create_async_engine(
            "postgresql+psycopg://",
            async_creator=self.connect,
            poolclass=AsyncAdaptedQueuePool,
            pool_size=connections,
            max_overflow=0,
            hide_parameters=True,
            pool_timeout=POOL_SECONDS,
        )
        event.listen(engine.sync_engine, "handle_error", _give_up_if_read_only)
        return engine


def _give_up_if_read_only(context: ExceptionContext) -> None:
    # A session that began read-only stays so, when the database may long be written again.
    if isinstance(context.original_exception, psycopg.errors.ReadOnlySqlTransaction):
        context.is_disconnect = True
