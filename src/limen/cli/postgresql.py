"""The checks of `limen doctor` that only PostgreSQL needs.

The server must be one that limen's statements are written for, and must keep what it has
acknowledged; a worker that gets no connection answers 503; and dead rows must be cleared away.
"""

from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from limen.cli.findings import Check
from limen.database.engine import Database
from limen.settings import Settings

OLDEST_SERVER = 140_000

# As many dead rows as living ones, in a table that is worth looking at: the vacuum cannot keep up.
MANY_DEAD = 10_000

# The share of all connections that may be in use before somebody should know.
CROWDED = 0.8

_CONNECTIONS = """
    SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS used,
           current_setting('max_connections')::int AS allowed
"""
_TABLES = """
    SELECT relname, pg_size_pretty(pg_total_relation_size(relid)) AS size,
           n_live_tup AS living, n_dead_tup AS dead
    FROM pg_stat_user_tables WHERE schemaname = current_schema()
    ORDER BY pg_total_relation_size(relid) DESC, relname
"""


async def of_postgresql(database: Database, settings: Settings) -> AsyncIterator[Check]:
    """Yield the checks of this server.

    Raises:
        DatabaseUnavailable: It cannot be asked.
    """
    async with database.read() as connection:
        yield await _server(connection)
        yield await _durability(connection)
        yield await _connections(connection, settings)
        yield await _tables(connection)


async def _server(connection: AsyncConnection) -> Check:
    version = await _shown(connection, "server_version")
    if int(await _shown(connection, "server_version_num")) < OLDEST_SERVER:
        return Check("server", "failed", f"PostgreSQL {version}: limen needs 14 or later")
    return Check("server", "ok", f"PostgreSQL {version}")


async def _durability(connection: AsyncConnection) -> Check:
    names = ("fsync", "full_page_writes", "synchronous_commit")
    found = {name: await _shown(connection, name) for name in names}
    says = ", ".join(f"{name} {value}" for name, value in found.items())
    if "off" in found.values():
        return Check("durability", "failed", f"{says}: a crash loses what was acknowledged")
    return Check("durability", "ok", says)


async def _connections(connection: AsyncConnection, settings: Settings) -> Check:
    found = (await connection.exec_driver_sql(_CONNECTIONS)).one()
    says = (
        f"{found.used} of {found.allowed} in use; "
        f"a worker takes up to {settings.database_connections + 1}"
    )
    crowded = found.used > CROWDED * found.allowed
    return Check("connections", "warning" if crowded else "ok", says)


async def _tables(connection: AsyncConnection) -> Check:
    tables = (await connection.exec_driver_sql(_TABLES)).all()
    sizes = ", ".join(f"{table.relname} {table.size} ({table.dead} dead)" for table in tables)
    if lagging := [table.relname for table in tables if _lags(table)]:
        says = f"{', '.join(lagging)}: more dead rows than living ones; does autovacuum run? "
        return Check("tables", "warning", says + sizes)
    return Check("tables", "ok", sizes)


def _lags(table: Row[Any]) -> bool:
    return bool(table.dead > max(MANY_DEAD, table.living))


async def _shown(connection: AsyncConnection, name: str) -> str:
    return str((await connection.exec_driver_sql(f"SHOW {name}")).scalar_one())
