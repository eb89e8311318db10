"""Opening the database that a URL names."""

from limen.database.address import sqlite_path
from limen.database.driver import require_psycopg
from limen.database.engine import Database
from limen.database.migrate import SchemaStatus, migrate, status
from limen.database.sqlite import SQLite
from limen.errors import SchemaOutdated
from limen.events import Events


def prepare(url: str) -> SchemaStatus:
    """Bring a SQLite file to the present schema, or require it of a PostgreSQL database.

    Return the status that was found.

    Raises:
        ConfigurationError: The URL, or what it names, cannot be used.
        SchemaOutdated: It is PostgreSQL, and its schema is another: `limen migrate` is an
            operator's decision there.
        DatabaseUnavailable: It cannot be reached.
    """
    if sqlite_path(url) is not None:
        return migrate(url)
    found = status(url)
    if not found.is_current:
        raise SchemaOutdated(found.current, found.needed)
    return found


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
