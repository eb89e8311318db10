"""Storage that can be read and no longer written, for the length of a block.

read_only    SQLite: what a file that may not be written is to its connection (SQLITE_READONLY).
PostgreSQL: ALTER DATABASE ... SET default_transaction_read_only, by which hosts
protect a disk that is filling up; sessions are cut, so that all learn of it.
full         SQLite: no page can be added to the file, and those there are have no room for
another row (SQLITE_FULL, the real one). PostgreSQL: triggers raise what it raises
where a table cannot grow (53100, disk_full); a disk of its own to fill up would
need root.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress

import psycopg
import pytest

from limen.database.address import sqlite_path
from limen.database.connections import driver_of
from limen.database.schema import metadata
from limen.errors import DatabaseUnavailable
from limen.limen import Limen

Fault = Callable[[Limen], AbstractAsyncContextManager[None]]

# Rows that concern nobody, smaller than any that limen writes.
_FILLING = (
    "INSERT INTO revocations VALUES (-{}, 'session', '', 0, 0)",
    "INSERT INTO rate_limits VALUES ('{}', '', 0, 0, 0)",
)

_FULL = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
END $$
"""


@asynccontextmanager
async def read_only(limen: Limen) -> AsyncIterator[None]:
    """Let nothing be written any more."""
    if sqlite_path(limen.settings.database_url):
        async with pragma(limen, "query_only", 1, 0):
            yield
    else:
        with _read_only_database(limen.settings.database_url):
            with suppress(DatabaseUnavailable):  # what was cut is found out by the next to use it
                await limen.features.log.pull()
            yield


@asynccontextmanager
async def full(limen: Limen) -> AsyncIterator[None]:
    """Let nothing grow any more."""
    if sqlite_path(limen.settings.database_url):
        async with limen.features.database._writers.one() as connection:
            pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar_one()
        async with pragma(limen, "max_page_count", pages, 1_000_000):
            await _fill(limen)
            yield
    else:
        with _full_disk(limen.settings.database_url):
            yield


@asynccontextmanager
async def pragma(limen: Limen, name: str, within: int, after: int) -> AsyncIterator[None]:
    """Set a pragma of the connection that writes, and set it again after the block."""
    await _set(limen, name, within)
    try:
        yield
    finally:
        await _set(limen, name, after)


async def _set(limen: Limen, name: str, value: int) -> None:
    """Set it outside of any transaction."""
    async with limen.features.database._writers.one() as connection:
        await driver_of(connection).ask(f"PRAGMA {name}={value}")


async def _fill(limen: Limen) -> None:
    async with pragma(limen, "synchronous", 0, 2):
        for statement in _FILLING:
            with pytest.raises(DatabaseUnavailable):
                await _repeat(limen, statement)


async def _repeat(limen: Limen, statement: str) -> None:
    for number in range(1, 10_000):
        async with limen.features.database.write() as connection:
            await connection.exec_driver_sql(statement.format(number))


@contextmanager
def _read_only_database(url: str) -> Iterator[None]:
    with psycopg.connect(url, autocommit=True) as connection:
        name = connection.info.dbname
        alter = f"ALTER DATABASE {name} {{}} default_transaction_read_only"
        connection.execute(f"{alter.format('SET')} = on".encode())
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        try:
            yield
        finally:
            connection.execute(alter.format("RESET").encode())


@contextmanager
def _full_disk(url: str) -> Iterator[None]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_FULL)
        try:
            for table in metadata.tables:
                connection.execute(
                    f"CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON {table} "
                    "EXECUTE FUNCTION full_disk()".encode()
                )
            yield
        finally:
            connection.execute("DROP FUNCTION full_disk CASCADE")
