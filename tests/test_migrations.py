"""Every migration: what was there stays, and what it makes is what the code describes."""

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, MetaData, Table, select
from sqlalchemy.exc import DataError

from limen.database import migrate as migrations
from limen.database.address import sqlite_path
from limen.database.migrate import migrate, needed_revision
from limen.database.schema import metadata
from limen.tokens import fid_digest
from tests.postgresql import Databases
from tests.tokens import b64

OPTIONS = """
    SELECT relname, reloptions FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND reloptions IS NOT NULL
"""

STATEMENT_TIMEOUT = 5  # the default: whoever is kept waiting for so long is answered 503

Rows = dict[str, list[tuple[Any, ...]]]

# One row at least of every table that 0001 makes, with all that may be NULL once NULL.
STORED: dict[str, list[dict[str, Any]]] = {
    "accounts": [
        {
            "user_id": f"user{n}",
            "email": f"p{n}@example.com",
            "email_key": f"p{n}@example.com",
            "password_hash": "$argon2id$",
            "cv": n,
            "scope": "",
            "created_at": 1,
            "disabled_at": n or None,
        }
        for n in range(2)
    ],
    "sessions": [
        {
            "fid_hash": b64(sha256(f"fid{n}".encode()).digest()),
            "sid": f"{n:032x}",
            "user_id": f"user{n % 2}",
            "cv": n % 2,
            "gen": n,
            "retry_key": "key" if n else None,
            "confirmed": 1,
            "handed_at": n,
            "rotated_at": n,
            "created_at": n,
            "abs_exp": 2**62,
            "ended_at": n or None,
            "end_reason": "logout" if n else None,
            "outcome": 1,
        }
        for n in range(1500)
    ],
    "revocations": [
        {"seq": n, "kind": "session", "subject": f"digest{n}", "value": 0, "expires_at": 2**40}
        for n in range(1, 8)
    ],
    "rate_limits": [
        {"bucket": "login:x", "stamps": "1;2;", "quota": 5, "period": 9, "expires_at": 2**62}
    ],
    "signing_keys": [
        {
            "kid": "kid",
            "algorithm": "ES256",
            "sealed": b"\0sealed",
            "created_at": 1,
            "signs_from": 1,
            "retires_at": None,
        }
    ],
}


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, sqlite_url: str) -> Iterator[str]:
    """A database without any table, of either kind."""
    if request.param == "sqlite":
        yield sqlite_url
    else:
        databases: Databases = request.getfixturevalue("postgresql")
        with databases.empty() as url:
            yield url


def migrated_to(url: str, revision: str) -> None:
    """Bring a new database to the schema that an earlier limen had."""
    if path := sqlite_path(url):
        migrations._make_file(path)
        migrations._use_wal(path)
    with migrations._connection(url, alone=True) as connection:
        migrations._migrate_to(connection, revision)


def as_it_stands(connection: Connection) -> MetaData:
    found = MetaData()
    found.reflect(connection)
    return found


def contents(url: str) -> Rows:
    with migrations._connection(url) as connection:
        return {
            name: sorted(map(_plain, connection.execute(select(table))), key=repr)
            for name, table in as_it_stands(connection).tables.items()
            if name != "alembic_version"
        }


def _plain(row: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(value.hex if isinstance(value, UUID) else value for value in row)


def test_a_database_of_the_first_version_is_upgraded_and_nothing_is_lost(empty: str) -> None:
    migrated_to(empty, "0001")
    with migrations._connection(empty) as connection:
        tables = as_it_stands(connection).tables
        assert {*STORED, "revocation_counter", "alembic_version"} == set(tables)
        for name, rows in STORED.items():
            connection.execute(tables[name].insert(), rows)
        connection.execute(tables["revocation_counter"].update().values(seq=7))
    before = contents(empty)

    assert {name: len(rows) for name, rows in before.items()} == {
        **{name: len(rows) for name, rows in STORED.items()},
        "revocation_counter": 1,
    }
    assert migrate(empty).current == "0001"
    assert migrate(empty).current == needed_revision()
    after = contents(empty)
    before["sessions"] = [
        (fid_digest(f"fid{int(sid, 16)}"), sid, *others) for _, sid, *others in before["sessions"]
    ]
    assert {name: _beginnings(after[name], rows) for name, rows in before.items()} == {
        name: sorted(rows, key=repr) for name, rows in before.items()
    }


def test_what_cannot_be_migrated_is_told_as_it_is(postgresql: Databases) -> None:
    """It is nothing that limen writes; "no SQLite database" would lead nowhere."""
    with postgresql.empty() as url:
        migrated_to(url, "0001")
        with migrations._connection(url) as connection:
            tables = as_it_stands(connection).tables
            connection.execute(tables["accounts"].insert(), STORED["accounts"])
            connection.execute(tables["sessions"].insert(), STORED["sessions"][0] | {"sid": "odd"})
        with pytest.raises(DataError, match="invalid input syntax for type uuid"):
            migrate(url)

        assert migrations.status(url).current == "0001"


def _beginnings(rows: list[tuple[Any, ...]], before: list[tuple[Any, ...]]) -> object:
    """Return the rows without the columns that came later, which stand behind the others."""
    width = len(before[0]) if before else 0
    return sorted((row[:width] for row in rows), key=repr)


def test_the_migrations_make_the_tables_that_the_code_describes(empty: str) -> None:
    migrate(empty)
    with migrations._connection(empty) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        if connection.dialect.name == "postgresql":
            found = connection.exec_driver_sql(OPTIONS).all()
            assert {name: sorted(options) for name, options in found} == {
                table.name: sorted(f"{key}={value}" for key, value in described.items())
                for table in metadata.sorted_tables
                if (described := storage(table))
            }


def storage(table: Table) -> dict[str, Any]:
    options: dict[str, Any] = table.dialect_options["postgresql"]["with"] or {}
    return options


def test_an_upgrade_keeps_nobody_from_reading_and_writing(postgresql: Databases) -> None:
    """Somebody uses every table for three seconds; others come and go, and the upgrade ends."""
    with postgresql.empty() as url, ThreadPoolExecutor(1) as elsewhere:
        migrated_to(url, "0001")
        with migrations._connection(url) as working:
            tables = as_it_stands(working).tables
            for name, rows in STORED.items():
                working.execute(tables[name].insert(), rows)
            upgrade = elsewhere.submit(migrate, url)
            waits = []
            until = time.monotonic() + 3
            while time.monotonic() < until:
                began = time.monotonic()
                with migrations._connection(url) as passing:
                    for name in STORED:
                        passing.execute(select(tables[name]).limit(1))
                waits.append(time.monotonic() - began)
            assert not upgrade.done()
        assert upgrade.result(60).current == "0001"
        assert len(contents(url)["sessions"]) == len(STORED["sessions"])
    print(f"{len(waits)} others passed, the slowest in {max(waits):.2f} s")
    assert max(waits) < STATEMENT_TIMEOUT
