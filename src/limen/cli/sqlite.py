"""The checks of `limen doctor` that only SQLite needs: how it writes, and what fills the file."""

from collections.abc import AsyncIterator

from sqlalchemy.ext.asyncio import AsyncConnection

from limen.cli.findings import Check
from limen.database.sqlite import SQLite

# What PRAGMA synchronous answers for FULL.
_FULL = 2

# A module that SQLite may have been built without.
SIZES = "dbstat"
_KNOWN = "SELECT count(*) FROM pragma_module_list WHERE name = ?"
_TABLES = """
    SELECT tbl_name, sum(pgsize) AS size FROM dbstat JOIN sqlite_master USING (name)
    WHERE aggregate = 1 GROUP BY tbl_name ORDER BY size DESC, tbl_name
"""


async def of_sqlite(database: SQLite) -> AsyncIterator[Check]:
    """Yield the checks of this file.

    Raises:
        DatabaseUnavailable: It cannot be read.
    """
    async with database.read() as connection:
        yield await _journal(connection)
        yield await _tables(connection)


async def _journal(connection: AsyncConnection) -> Check:
    journal = (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar_one()
    synchronous = await _pragma(connection, "synchronous")
    if (journal, synchronous) == ("wal", _FULL):
        return Check("journal", "ok", "WAL, synchronous FULL")
    says = f"{journal}, synchronous {synchronous}: is the directory on a network disk?"
    return Check("journal", "failed", says)


async def _tables(connection: AsyncConnection) -> Check:
    page, pages = await _pragma(connection, "page_size"), await _pragma(connection, "page_count")
    unused = await _pragma(connection, "freelist_count")
    sizes = [f"{_shown(page * pages)} in all", f"{_shown(page * unused)} free for new rows"]
    if (await connection.exec_driver_sql(_KNOWN, (SIZES,))).scalar_one():
        tables = (await connection.exec_driver_sql(_TABLES)).all()
        sizes = [*(f"{table.tbl_name} {_shown(table.size)}" for table in tables), *sizes]
    return Check("tables", "ok", ", ".join(sizes))


async def _pragma(connection: AsyncConnection, name: str) -> int:
    return int((await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one())


def _shown(size: int) -> str:
    return f"{size >> 10} KiB" if size < 1 << 20 else f"{size / (1 << 20):.1f} MiB"
