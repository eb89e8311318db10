"""The checks of `limen doctor` of what grows with use, and of what should go again.

Expired rows are swept by one worker of those that serve, a piece of each table every minute. A row
that has just been passed by waits for the whole walk, so a big table may keep some for hours; one
that waits for much longer waits for a server that does not run.
"""

from collections.abc import AsyncIterator, Mapping

from sqlalchemy import func, select

from limen.cli.findings import Check
from limen.cli.output import moment
from limen.clock import SECOND, system_clock
from limen.database.engine import Database
from limen.database.schema import (
    accounts,
    codes,
    outbox,
    rate_limits,
    revocations,
    sessions,
    signing_keys,
)
from limen.events import Events
from limen.opening import HOUSEKEEPING_SECONDS
from limen.settings import Settings
from limen.sweep import BATCH, PAUSE, ROUND, Sweep, Waiting

# So many rows that wait, and a tenth of all: nobody sweeps, or more expires than can be swept.
MANY_EXPIRED = 100_000

# How long a row may wait beside the walks, such as while limen was stopped for an upgrade.
LATE = 3600 * SECOND


async def of_growth(database: Database, settings: Settings) -> AsyncIterator[Check]:
    """Yield the checks. Every row is looked at, which takes its time.

    Raises:
        DatabaseUnavailable: It cannot be read.
    """
    rows = await _rows(database)
    log = rows[revocations.name]
    yield Check("revocation log", "ok", f"{log} rows, which every verifier keeps in memory")
    others = [f"{name} {count}" for name, count in rows.items() if name != revocations.name]
    yield Check("rows", "ok", ", ".join(others))
    idle = settings.refresh_token_lifetime
    waiting = await Sweep(database, idle=idle, clock=system_clock, events=Events()).waiting()
    yield _expired(waiting, rows)
    yield _oldest(waiting, rows)


async def _rows(database: Database) -> dict[str, int]:
    counted = {}
    async with database.read() as connection:
        for table in (accounts, sessions, revocations, rate_limits, signing_keys, codes, outbox):
            rows = await connection.execute(select(func.count()).select_from(table))
            counted[table.name] = rows.scalar_one()
    return counted


def _expired(waiting: Mapping[str, Waiting], rows: Mapping[str, int]) -> Check:
    number = sum(one.rows for one in waiting.values())
    if number > max(MANY_EXPIRED, sum(rows[name] for name in waiting) // 10):
        says = f"{number} wait to be swept, which a running server does every minute"
        return Check("expired rows", "warning", says)
    return Check("expired rows", "ok", f"{number} wait to be swept")


def _oldest(waiting: Mapping[str, Waiting], rows: Mapping[str, int]) -> Check:
    since = {name: one.since for name, one in waiting.items() if one.since is not None}
    if not since:
        return Check("oldest expired", "ok", "none waits")
    now = system_clock()
    late = {name: at for name, at in since.items() if at < now - LATE - 2 * _walk(rows[name])}
    if not late:
        return Check("oldest expired", "ok", _dated(since))
    says = f"{_dated(late)}: nobody sweeps; does 'limen serve' run, and log 'database failed'?"
    return Check("oldest expired", "warning", says)


def _walk(rows: int) -> int:
    """Return how long one walk through so many rows takes, in microseconds."""
    return round(rows / (ROUND * BATCH) * (HOUSEKEEPING_SECONDS + ROUND * PAUSE)) * SECOND


def _dated(since: Mapping[str, int]) -> str:
    return ", ".join(f"{name} since {moment(at)}" for name, at in since.items())
