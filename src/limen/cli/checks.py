"""The checks of `limen doctor`: what goes wrong in practice, found before it does.

    ok        as it should be
    warning   it works, and somebody should know
    failed    it does not work, or is not safe

Later checks need what earlier ones look at, so where the settings, the secret or the database
fail, the checks behind them are left out. Nothing is made or changed.
"""

import asyncio
import os
import shutil
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from sqlalchemy import func, select

from limen.cli.commands import in_its_own_words
from limen.cli.findings import Check
from limen.cli.growth import of_growth
from limen.cli.huge_pages import of_huge_pages
from limen.cli.mail_checks import of_mail, of_outbox
from limen.cli.output import moment
from limen.cli.postgresql import of_postgresql
from limen.cli.sqlite import of_sqlite
from limen.clock import SECOND, system_clock
from limen.database.address import sqlite_path, without_password
from limen.database.engine import Database
from limen.database.migrate import needed_revision
from limen.database.schema import sessions, signing_keys
from limen.database.sqlite import SQLite
from limen.errors import ConfigurationError, DatabaseUnavailable
from limen.events import Events
from limen.features import database_of
from limen.key_ring import KeyRing
from limen.keys import SigningKeys
from limen.revocation import RevocationLog
from limen.secret import FILE_NAME, RootSecret
from limen.settings import Settings
from limen.verify.revocations import Revocations

# A full disk is noticed at sign-in, by everybody at once.
LOW_DISK = 1 << 30
NO_DISK = 100 << 20

# NIST SP 800-57 would have a signing key serve for one to three years.
OLD_KEY_DAYS = 365

# A table of millions of rows is counted in seconds, for which nobody waits but the operator.
COUNTING_SECONDS = 60

# Clocks that are set by the network differ by less.
CLOCK_MARGIN = 60 * SECOND
NOT_BEFORE = 1_767_225_600 * SECOND  # 2026: limen is younger than that


def examine() -> list[Check]:
    """Return every check that could be made."""
    try:
        settings = Settings.from_environment()
    except ConfigurationError as error:
        return [Check("settings", "failed", error.detail)]
    checks = [
        Check("settings", "ok", "all values are good"),
        _public_url(settings),
        _trusted_proxies(settings),
        asyncio.run(of_mail(settings)),
        *of_huge_pages(settings.password_hash),
    ]
    if uses_directory := sqlite_path(settings.database_url) is not None or settings.secret is None:
        checks.append(_data_dir(settings.data_dir))
    secret, check = _secret(settings)
    checks.append(check)
    if uses_directory and settings.data_dir.is_dir():
        checks.append(_disk_space(settings.data_dir))
    path = sqlite_path(settings.database_url)
    if path is not None and not path.exists():
        return [*checks, Check("database", "failed", "there is none yet: 'limen serve' makes it")]
    return checks + asyncio.run(_of_the_database(settings, secret))


def _public_url(settings: Settings) -> Check:
    if settings.public_url.startswith("https://"):
        return Check("public URL", "ok", settings.public_url)
    says = f"{settings.public_url} is for development: set LIMEN_PUBLIC_URL to an https URL"
    return Check("public URL", "warning", says)


def _trusted_proxies(settings: Settings) -> Check:
    networks = settings.trusted_proxies
    if any(network.prefixlen == 0 for network in networks):
        says = "everybody is trusted, so everybody can choose the address that limits count"
        return Check("trusted proxies", "warning", says)
    if networks:
        return Check("trusted proxies", "ok", ", ".join(map(str, networks)))
    if settings.public_url.startswith("https://"):
        says = "none: behind a proxy all clients share one address limit; LIMEN_TRUSTED_PROXIES"
        return Check("trusted proxies", "warning", says)
    return Check("trusted proxies", "ok", "none: the address of the connection counts")


def _data_dir(path: Path) -> Check:
    name, shown = "data directory", path.absolute()
    if not path.is_dir():
        return Check(name, "failed", f"{shown} is no directory yet: 'limen serve' makes it")
    if not os.access(path, os.W_OK | os.X_OK):
        return Check(name, "failed", f"{shown} cannot be written by this user")
    if loose := stat.S_IMODE(path.stat().st_mode) & 0o077:
        return Check(name, "failed", f"others have rights {loose:03o} to it: chmod 700 {shown}")
    return Check(name, "ok", f"{shown}, for this user alone")


def _secret(settings: Settings) -> tuple[RootSecret | None, Check]:
    path = settings.data_dir / FILE_NAME
    if settings.secret is None and not os.path.lexists(path):
        return None, Check("secret", "failed", "there is none yet: 'limen serve' makes one")
    try:
        secret = RootSecret.load(settings.secret, settings.data_dir)
    except ConfigurationError as error:
        return None, Check("secret", "failed", error.detail)
    says = "in LIMEN_SECRET" if secret.path is None else f"{path.absolute()}, mode 0600"
    return secret, Check("secret", "ok", says)


def _disk_space(path: Path) -> Check:
    free = shutil.disk_usage(path).free
    says = f"{free / (1 << 30):.1f} GiB free"
    if free < NO_DISK:
        return Check("disk space", "failed", says)
    return Check("disk space", "warning" if free < LOW_DISK else "ok", says)


async def _of_the_database(settings: Settings, secret: RootSecret | None) -> list[Check]:
    checks: list[Check] = []
    patient = replace(settings, database_statement_timeout=COUNTING_SECONDS)
    try:
        database = database_of(patient, Events())
    except ConfigurationError as error:
        return [Check("database", "failed", error.detail)]
    try:
        async for check in _database_checks(database, settings, secret):
            checks.append(check)  # noqa: PERF401  what was found before an error is kept
    except DatabaseUnavailable as error:
        checks.append(Check("database", "failed", f"cannot be read: {in_its_own_words(error)}"))
    finally:
        await database.close()
    return checks


async def _database_checks(
    database: Database, settings: Settings, secret: RootSecret | None
) -> AsyncIterator[Check]:
    schema = await _schema(database)
    yield Check("database", "ok", without_password(settings.database_url))
    yield schema
    if isinstance(database, SQLite):
        async for check in of_sqlite(database):
            yield check
    else:
        async for check in of_postgresql(database, settings):
            yield check
    if schema.verdict == "failed":
        return
    if secret is not None:
        yield await _keys(database, settings, secret)
    yield await _clock(database)
    yield await of_outbox(database)
    async for check in of_growth(database, settings):
        yield check


async def _schema(database: Database) -> Check:
    found, needed = await database.revision(), needed_revision()
    if found is None:
        return Check("schema", "failed", "there is none yet: 'limen migrate' makes it")
    if found == needed:
        return Check("schema", "ok", f"revision {found}")
    return Check("schema", "failed", f"revision {found}, {needed} is needed: 'limen migrate'")


async def _keys(database: Database, settings: Settings, secret: RootSecret) -> Check:
    lifetime = settings.access_token_lifetime
    log = RevocationLog(
        database, Revocations(), longest=lifetime, clock=system_clock, events=Events()
    )
    stored = SigningKeys(
        database, log, secret, algorithm=settings.signing_algorithm, clock=system_clock
    )
    try:
        keys = await stored.load()
    except ConfigurationError as error:
        return Check("signing keys", "failed", error.detail)
    if not keys:
        return Check("signing keys", "warning", "there is none: the next start makes one")
    signing = KeyRing(keys, system_clock).signing
    days = (system_clock() - signing.created_at) // (86400 * SECOND)
    says = f"{len(keys)} in all; {signing.kid} ({signing.algorithm}) signs, {days} days old"
    if days > OLD_KEY_DAYS:
        return Check("signing keys", "warning", f"{says}: 'limen keys rotate'")
    return Check("signing keys", "ok", says)


async def _clock(database: Database) -> Check:
    newest = select(
        select(func.coalesce(func.max(signing_keys.c.created_at), 0)).scalar_subquery(),
        select(func.coalesce(func.max(sessions.c.rotated_at), 0)).scalar_subquery(),
    )
    async with database.read() as connection:
        seen = max((await connection.execute(newest)).one())
    now = system_clock()
    if now < NOT_BEFORE:
        return Check("clock", "failed", f"{moment(now)} is in the past: set the clock")
    if seen > now + CLOCK_MARGIN:
        says = f"{moment(now)} is before {moment(seen)}, when the database was last used"
        return Check("clock", "failed", says)
    return Check("clock", "ok", f"{moment(now)}")
