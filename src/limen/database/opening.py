"""Opening the database that a URL names."""

from limen.database.address import sqlite_path
from limen.database.driver import require_psycopg
from limen.database.engine import Database
from limen.database.migrate import SchemaStatus, migrate, status
from limen.database.sqlite import SQLite
from limen.errors import SchemaOutdated
from limen.events import Events


def prepare(url: str, *, to_serve: bool) -> SchemaStatus:
    """Make sure that the database has the present schema; return the status that was found.

    A SQLite file is made if there is none, and brought there by whoever opens it `to_serve`.

    Raises:
        ConfigurationError: The URL, or what it names, cannot be used.
        SchemaOutdated: Its schema is an earlier one, and servers of that version may be running.
        DatabaseUnavailable: It cannot be reached.
    """
    found = status(url)
    if found.is_current:
        return found
    if sqlite_path(url) is not None and (to_serve or found.current is None):
        return migrate(url)
    raise SchemaOutdated(found.current, found.needed)


def open_database(
    url: str, events: Events, *, connections: int, statement_timeout: int, behind_pooler: bool
) -> Database:
    """Return the database, without connecting yet; all but the URL is for PostgreSQL.

    Raises:
        ConfigurationError: psycopg is missing, or cannot read the URL.
    """
    path = sqlite_path(url)
    if path is not None:
        return SQLite(path, events)
    require_psycopg(url)
    from limen.database.postgresql import PostgreSQL  # noqa: PLC0415  needs limen[postgres]

    return PostgreSQL(
        url,
        events,
        connections=connections,
        statement_timeout=statement_timeout,
        behind_pooler=behind_pooler,
    )
