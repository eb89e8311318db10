"""Bringing the tables to the shape this version of limen needs.

The migrations ship in the wheel. On SQLite a server runs them at its start: whoever upgrades limen
upgrades the file. Other commands do not, since a server of the version before may run beside them.
On PostgreSQL an operator runs them, because other machines may still run the version before.

They run in one transaction that keeps other migrations out (an immediate one, an advisory lock), so
that of two that start at once one migrates and the other finds it done, and a migration that fails
leaves the database as it was. Where nothing is to be done, nothing is locked, and Alembic, which
takes a while to load, is not even imported.

On PostgreSQL a new column needs a table for itself for a moment. Whoever waits for that keeps all
others waiting behind him, so a migration waits a second at most, lets them pass, and tries again.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, inspect, pool
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError, ProgrammingError

from limen.database.address import sqlite_path
from limen.database.driver import require_psycopg
from limen.errors import ConfigurationError, DatabaseUnavailable

MIGRATIONS = Path(__file__).parent / "migrations"

# How long a migration waits for the database, or for another migration, and how often it asks.
LOCK_SECONDS = 10
LOCK_PAUSE = 0.02

# Within the statement timeout of whoever is kept waiting meanwhile.
TABLE_LOCK_SECONDS = 1
TABLE_LOCK_TRIES = 60

# "limen" in ASCII: the name of the lock among the database's advisory locks.
ADVISORY_LOCK = 0x6C696D656E


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """The revision a database has (None: it is new) and the one this version needs."""

    current: str | None
    needed: str

    @property
    def is_current(self) -> bool:
        return self.current == self.needed


def migrate(url: str) -> SchemaStatus:
    """Create or upgrade the database; return what it had before and what it has now.

    Raises:
        ConfigurationError: The file is no database, or is a newer limen's.
        DatabaseUnavailable: It cannot be opened or written, or stays locked.
    """
    if (found := status(url)).is_current:
        return found
    if (path := sqlite_path(url)) is not None:
        _make_file(path)
        _use_wal(path)  # before there are tables, and so before anybody opens it to work
    for tries_left in reversed(range(TABLE_LOCK_TRIES)):
        try:
            return _upgrade(url)
        except DatabaseUnavailable as error:
            if not tries_left or not _is_kept_waiting(error):
                raise
            time.sleep(TABLE_LOCK_SECONDS)
    raise AssertionError  # the last try returns or raises


def _upgrade(url: str) -> SchemaStatus:
    with _connection(url, alone=True) as connection:
        before = _status(connection)
        if not before.is_current:
            _migrate_to(connection, needed_revision())
    return before


def _migrate_to(connection: Connection, revision: str) -> None:
    from alembic import command  # noqa: PLC0415  it loads slowly, and is rarely needed
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _is_kept_waiting(error: DatabaseUnavailable) -> bool:
    cause = getattr(error.__cause__, "orig", None)
    return getattr(cause, "sqlstate", None) == "55P03"  # lock_not_available


def status(url: str) -> SchemaStatus:
    """Compare the database, whose file need not exist, with what this version needs.

    Raises:
        ConfigurationError: The file is no database, or is a newer limen's.
        DatabaseUnavailable: It cannot be opened.
    """
    path = sqlite_path(url)
    if path is not None and not path.exists():
        return SchemaStatus(None, needed_revision())
    with _connection(url) as connection:
        return _status(connection)


def _make_file(path: Path) -> None:
    """Make the file, if it is new, for this user alone; SQLite would let others read the hashes."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError as error:
        raise ConfigurationError(
            "LIMEN_DATA_DIR",
            f"the database cannot be made in its directory ({error.strerror})",
            "a directory of limen's own, on a local disk",
        ) from None


def _use_wal(path: Path) -> None:
    """Switch the file to WAL, which SQLite does not wait for while somebody else has it open."""
    deadline = time.monotonic() + LOCK_SECONDS
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as error:
                if time.monotonic() > deadline:
                    raise DatabaseUnavailable from error
                time.sleep(LOCK_PAUSE)
            else:
                return


def _status(connection: Connection) -> SchemaStatus:
    current = None
    if inspect(connection).has_table("alembic_version"):
        select = "SELECT version_num FROM alembic_version"
        current = connection.exec_driver_sql(select).scalar_one_or_none()
    if current not in (None, *_revisions()):
        raise ConfigurationError(
            "LIMEN_DATABASE_URL",
            "the database was changed by a newer limen",
            "that version of limen, or a backup from before the upgrade",
        )
    return SchemaStatus(current, needed_revision())


def needed_revision() -> str:
    """Return the revision of the schema that this version of limen needs."""
    return max(_revisions())


@cache
def _revisions() -> frozenset[str]:
    """Return the revisions that this version knows, which are numbered, as their files are."""
    files = (MIGRATIONS / "versions").glob("[0-9]*.py")
    return frozenset(path.name.partition("_")[0] for path in files)


@contextmanager
def _connection(url: str, *, alone: bool = False) -> Iterator[Connection]:
    path = sqlite_path(url)
    engine = _postgresql(url, alone=alone) if path is None else _sqlite(path, alone=alone)
    try:
        with engine.begin() as connection:
            yield connection
    except (IntegrityError, ProgrammingError):
        raise  # a mistake of ours
    except OperationalError as error:
        raise DatabaseUnavailable from error
    except DatabaseError:
        if path is None:
            raise  # a mistake of ours
        raise ConfigurationError(
            "LIMEN_DATABASE_URL", "the file is no SQLite database", "sqlite:////srv/limen/limen.db"
        ) from None


def _sqlite(path: Path, *, alone: bool) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=pool.NullPool,
        connect_args={"isolation_level": None, "timeout": LOCK_SECONDS},
    )
    begin = "BEGIN IMMEDIATE" if alone else "BEGIN"
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _postgresql(url: str, *, alone: bool) -> Engine:
    require_psycopg(url)
    import psycopg  # noqa: PLC0415  only limen[postgres] has it

    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(url, connect_timeout=LOCK_SECONDS),
        poolclass=pool.NullPool,
    )
    if alone:
        patience = f"SET LOCAL lock_timeout = '{TABLE_LOCK_SECONDS}s'"
        lock = f"{patience}; SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(lock))
    return engine
