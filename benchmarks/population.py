"""Accounts and sessions to measure with, put into an empty database at once.

All accounts have one password and one stored hash, so that making a thousand takes a second and
not a minute of hashing; checking it costs what it always costs. Tokens are issued by limen's own
code, which is opened on the database before it is served.
"""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import insert

from limen import emails
from limen.clock import system_clock
from limen.database.migrate import migrate
from limen.database.schema import accounts
from limen.events import Events
from limen.features import Features
from limen.memory import Memory
from limen.opening import opened
from limen.settings import Argon2Cost, Settings
from limen.stored_hashes.argon2 import argon2_hash
from limen.tokens import TokenPair
from limen.verify.keyset import VerificationKey

PASSWORD = "correct horse battery staple"  # noqa: S105  of nobody
COST = Argon2Cost(memory_kib=19456, passes=2, lanes=1)
BATCH = 500


@dataclass(frozen=True, slots=True)
class Population:
    """Addresses that can sign in, tokens of sessions that have just started, and their keys."""

    emails: Sequence[str]
    tokens: Sequence[TokenPair]
    keys: Sequence[VerificationKey] = ()

    @property
    def access_tokens(self) -> list[str]:
        return [pair.access_token for pair in self.tokens]

    @property
    def refresh_tokens(self) -> list[str]:
        return [pair.refresh_token for pair in self.tokens]


def addresses(people: int) -> list[str]:
    """Return the e-mail addresses of so many people, the same ones each time."""
    return [f"person{n}@example.com" for n in range(people)]


def populate(
    data: Path, database_url: str | None, *, people: int, sessions: int, algorithm: str = "RS256"
) -> Population:
    """Make so many accounts, and so many sessions shared out among them."""
    settings = settings_of(data, database_url, algorithm)
    if database_url is not None:
        migrate(database_url)
    return asyncio.run(_populate(settings, people, sessions))


def settings_of(data: Path, database_url: str | None, algorithm: str) -> Settings:
    """Return the settings of a limen on this data."""
    given = {} if database_url is None else {"database_url": database_url}
    return Settings(data_dir=data, signing_algorithm=algorithm, **given)  # type: ignore[arg-type]


async def _populate(settings: Settings, people: int, sessions: int) -> Population:
    memory = Memory.of(settings, system_clock)
    async with opened(settings, memory, clock=system_clock, events=Events()) as features:
        named = await _accounts(features, people)
        tokens = await _sessions(features, [user for user, _ in named], sessions)
        keys = [VerificationKey(key.kid, key.algorithm, key.key) for key in memory.ring.all]
    return Population([email for _, email in named], tokens, keys)


async def _accounts(features: Features, people: int) -> list[tuple[str, str]]:
    stored, now = argon2_hash(PASSWORD, COST), system_clock()
    made = [(secrets.token_hex(16), email) for email in addresses(people)]
    rows = [
        {
            "user_id": user_id,
            "email": email,
            "email_key": emails.lookup_key(email),
            "password_hash": stored,
            "cv": 1,
            "scope": "",
            "created_at": now,
        }
        for user_id, email in made
    ]
    async with features.database.write() as connection:
        await connection.execute(insert(accounts), rows)
    return made


async def _sessions(features: Features, users: Sequence[str], count: int) -> list[TokenPair]:
    started = []
    for first in range(0, count, BATCH):
        async with features.database.write() as connection:
            for number in range(first, min(first + BATCH, count)):
                user_id = users[number % len(users)]
                started.append(features.sessions.start(connection, user_id=user_id, cv=1, scope=""))
    return [features.tokens.issue(one.grant, one.generation) for one in started]
