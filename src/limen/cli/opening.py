"""Opening the features for one command, beside a server that may be running.

No server is needed: a command works on the database itself, and running servers follow what it
revokes within a second. The shell may lack the server's settings, so opening changes no signing
key.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from limen.clock import system_clock
from limen.database.address import sqlite_path
from limen.errors import ConfigurationError
from limen.events import Events
from limen.origin import Origin, coming_from
from limen.settings import Settings

if TYPE_CHECKING:
    from limen.features import Features

T = TypeVar("T")


def run(
    settings: Settings, work: Callable[["Features"], Awaitable[T]], *, may_create: bool = False
) -> T:
    """Return what `work` returns for the open features.

    Unless it `may_create`, a command that finds no database makes none: it was most likely run in
    another directory than the server.

    Raises:
        ConfigurationError: There is no database, or it or the secret cannot be used.
        SchemaOutdated: It is of an earlier limen, and `limen migrate` has to be run first.
        DatabaseUnavailable: The database cannot be opened.
    """
    if not may_create:
        require_database(settings)
    return asyncio.run(_with_features(settings, work))


def require_database(settings: Settings) -> None:
    """Refuse to go on where no SQLite file has been made; of PostgreSQL, opening it asks that.

    Raises:
        ConfigurationError: There is none.
    """
    path = sqlite_path(settings.database_url)
    if path is not None and not path.exists():
        raise ConfigurationError(
            "LIMEN_DATA_DIR",
            f"there is no database at {path.absolute()}; "
            "'limen serve' and 'limen users create' make one",
            "the data directory of your server",
        )


async def _with_features(settings: Settings, work: Callable[["Features"], Awaitable[T]]) -> T:
    from limen.memory import Memory  # noqa: PLC0415  takes most of a second
    from limen.opening import opened  # noqa: PLC0415  takes most of a second

    memory = Memory.of(settings, system_clock)
    opening = opened(settings, memory, clock=system_clock, events=Events(), to_serve=False)
    async with opening as features:
        with coming_from(Origin("operator")):
            return await work(features)
