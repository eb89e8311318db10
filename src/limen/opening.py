"""Opening limen, and what it does while it is open.

Opening brings the database to its present shape, loads or makes the secret, reads the revocations,
and loads or makes the signing keys; only then is anything answered. While it is open, revocations
are followed, letters delivered, the trail bound and expired rows swept; closing stops all that and
waits for what is running.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from limen.clock import Clock
from limen.custom_claims import ClaimsFunction
from limen.database.engine import Database
from limen.database.opening import prepare
from limen.events import Events
from limen.features import Features, Kit, database_of
from limen.memory import Memory
from limen.origin import LIMEN, coming_from
from limen.rounds import Rounds
from limen.secret import RootSecret
from limen.settings import Argon2Cost, Settings

HOUSEKEEPING_SECONDS = 60.0

_logger = logging.getLogger(__name__)


@asynccontextmanager
async def opened(
    settings: Settings,
    memory: Memory,
    *,
    clock: Clock,
    events: Events,
    cost: Argon2Cost | None = None,
    claims: ClaimsFunction | None = None,
    to_serve: bool = True,
) -> AsyncIterator[Features]:
    """Open the features for the length of the block.

    Whoever does not open them `to_serve` leaves the signing keys as a server's settings want them,
    and the tables as a server's version does.
    `cost` replaces the configured cost of a password hash, which has a floor; tests use a cheap
    one. `claims` says what else stands in access tokens (`limen.custom_claims`).

    Raises:
        ConfigurationError: The secret or the data directory cannot be used.
        SchemaOutdated: The database is of an earlier limen, and is PostgreSQL or not opened to
            serve: `limen migrate` has to be run first.
        DatabaseUnavailable: The database cannot be opened.
    """
    secret = RootSecret.load(settings.secret, settings.data_dir)
    before = await asyncio.to_thread(partial(prepare, settings.database_url, to_serve=to_serve))
    if not before.is_current:
        revisions = {"before": before.current, "now": before.needed}
        _logger.info("database migrated", extra=revisions)
    database = database_of(settings, events)
    kit = Kit(
        settings=settings,
        memory=memory,
        database=database,
        secret=secret,
        clock=clock,
        events=events,
        cost=cost or settings.password_hash,
        claims=claims,
    )
    features = Features(kit)
    try:
        with coming_from(LIMEN):
            await features.load(to_serve=to_serve)
        if to_serve:
            _tell_where_mail_goes(settings)
        yield features
    finally:
        await features.close()


@asynccontextmanager
async def in_the_background(features: Features) -> AsyncIterator[None]:
    """Follow the revocations and keep house for the length of the block."""
    rounds = features.memory.rounds
    tasks = [
        asyncio.create_task(_listen(features.database, rounds)),
        asyncio.create_task(rounds.repeat(features.following.catch_up)),
        asyncio.create_task(Rounds(HOUSEKEEPING_SECONDS).repeat(features.keep_house)),
        asyncio.create_task(features.audit.rounds.repeat(features.audit.seal)),
        asyncio.create_task(
            features.webhook_letters.rounds.repeat(features.webhook_letters.refresh)
        ),
        *(asyncio.create_task(delivery) for delivery in features.outbox.rounds()),
    ]
    for task in tasks:
        task.add_done_callback(_report)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _tell_where_mail_goes(settings: Settings) -> None:
    match settings.mail_goes:
        case "into the inbox":
            inbox = f"{settings.public_url}/dev/inbox"
            _logger.info("mail is not sent: read it at %s", inbox)
        case "nowhere":
            _logger.warning("mail is not sent at all: LIMEN_SMTP_URL names no mail server")


async def _listen(database: Database, rounds: Rounds) -> None:
    async for _ in database.hints():
        rounds.hurry()


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        _logger.error("a background task has ended", exc_info=task.exception())
