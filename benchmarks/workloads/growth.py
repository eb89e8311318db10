"""Does it get slower with its accounts? The same on a small and on a big PostgreSQL database.

Accounts with ten sessions each are put in by one statement, the sessions under the digests that
limen would have made. The refreshes that are measured concern sessions at random among all.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

import psycopg
from sqlalchemy import create_engine

from benchmarks.asking import ES256, refresh_each
from benchmarks.bench import SEED, Bench, Result
from benchmarks.figures import Figure, Finding, Target, interleaved, ratio
from benchmarks.load import ask
from benchmarks.population import COST, PASSWORD, settings_of
from benchmarks.processes import limen_serves
from limen.clock import SECOND, system_clock
from limen.database.migrate import migrate
from limen.events import Events
from limen.memory import Memory
from limen.opening import opened
from limen.refresh import HONEST
from limen.stored_hashes.argon2 import argon2_hash
from limen.tokens import Generation, Grant

SESSIONS_EACH = 10
SMALL, BIG_QUICK, BIG = 1_000, 20_000, 1_000_000
CONNECTIONS = 16
LIFETIME = 90 * 86400 * SECOND
AT_MOST = 2000  # refreshes a second, to have enough tokens

# What limen.tokens.fid_digest makes of "fid-1", in SQL.
_DIGEST = "substr(encode(sha256(convert_to('fid-' || n, 'UTF8')), 'hex'), 1, 32)::uuid"
_FILL = (
    """
    INSERT INTO accounts (user_id, email, email_key, password_hash, cv, scope, created_at)
    SELECT md5('u' || n), 'person' || n || '@example.com', 'person' || n || '@example.com',
           %(stored)s, 1, '', %(now)s
    FROM generate_series(0, %(people)s - 1) n
    """,
    f"""
    INSERT INTO sessions (fid_hash, sid, user_id, cv, gen, confirmed, handed_at, rotated_at,
                          created_at, abs_exp, outcome)
    SELECT {_DIGEST}, md5('s' || n)::uuid,
           md5('u' || n / {SESSIONS_EACH}), 1, 0, 1, 0, %(now)s, %(now)s, %(end)s, 0
    FROM generate_series(0, %(people)s * {SESSIONS_EACH} - 1) n
    """,  # noqa: S608  of constants
    "VACUUM (ANALYZE) accounts",
    "VACUUM (ANALYZE) sessions",
    "CHECKPOINT",
)


def run(bench: Bench) -> Result:
    sizes = {"small": SMALL, "big": BIG_QUICK if bench.pace.quick else BIG}
    plans, bytes_each, notes, arms = [], {}, [], {}
    with ExitStack() as stack:
        for name, people in sizes.items():
            url, data, began = bench.postgresql(), bench.data(), time.monotonic()
            migrate(url)
            _fill(url, people)
            notes.append(f"{name}: {people:,} accounts, {people * SESSIONS_EACH:,} sessions")
            notes[-1] += f", filled in {time.monotonic() - began:.0f} s"
            bytes_each[name] = _bytes_each(url, people)
            plans.append(_plan(url))
            settings = ES256 | {"LIMEN_DATABASE_URL": url}
            tokens = _tokens(data, url, people, bench)
            served = stack.enter_context(limen_serves(data, settings))
            arms[f"refresh, {name}"] = _Refreshes(served.url, tokens)
        rates = interleaved(bench.pace, bench.noise, arms)
    result = Result.of(rates, "refreshes/s")
    against = f"with {SMALL:,} accounts"
    slower = ratio(rates, "refresh, small", "refresh, big")
    what = f"time of a refresh with {sizes['big']:,} accounts"
    result.findings.append(Finding(what, slower, "×", Target(most=1.10), against))
    same = float(plans[0] == plans[1])
    result.findings.append(
        Finding("plans of a refresh equal", Figure(same, same, same), "1 = yes", Target(least=1))
    )
    all_in = bytes_each["big"]
    figure = Figure(all_in, all_in, all_in)
    result.findings.append(
        Finding("bytes a session, with its indexes", figure, "bytes", Target(most=300))
    )
    result.notes += [*notes, f"plan of a refresh: {', '.join(plans[1])}"]
    return result


class _Refreshes:
    """Refreshes sessions at random among all, each once in a turn.

    In its n-th turn it shows tokens of the n-th generation: a session that was not chosen before
    catches up with its token, as after a failover; the work is the same.
    """

    def __init__(self, url: str, turns: Iterator[list[str]]) -> None:
        self._url = url
        self._turns = turns

    def __call__(self, seconds: float) -> float:
        return ask(self._url, refresh_each(next(self._turns), CONNECTIONS), seconds).rate


def _tokens(data: Path, url: str, people: int, bench: Bench) -> Iterator[list[str]]:
    settings = settings_of(data, url, "ES256")
    count = min(people * SESSIONS_EACH, round(AT_MOST * max(1.0, bench.pace.seconds)))
    turns = bench.pace.cycles + bench.pace.cycles // 2 + 1  # the first warms up
    rng, now = Random(SEED), system_clock()  # noqa: S311  repeatable

    async def issue() -> list[list[str]]:
        memory = Memory.of(settings, system_clock)
        async with opened(settings, memory, clock=system_clock, events=Events()) as features:
            return [
                [
                    features.tokens.issue(
                        Grant(_user(number), "", 1, ""),
                        Generation(_user(number), f"fid-{number}", turn, now, now + LIFETIME),
                    ).refresh_token
                    for number in rng.sample(range(people * SESSIONS_EACH), count)
                ]
                for turn in range(turns)
            ]

    return iter(asyncio.run(issue()))


def _user(session: int) -> str:
    name = f"u{session // SESSIONS_EACH}"
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()


def _fill(url: str, people: int) -> None:
    now = system_clock()
    values = {
        "people": people,
        "now": now,
        "end": now + LIFETIME,
        "stored": argon2_hash(PASSWORD, COST),
    }
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET session_replication_role = replica")  # owners are as they should be
        for statement in _FILL:
            given = values if "%(" in statement else None
            connection.execute(statement.encode(), given)


def _bytes_each(url: str, people: int) -> float:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT pg_total_relation_size('sessions')").fetchone()
    return float((found or (0,))[0]) / (people * SESSIONS_EACH)


def _plan(url: str) -> list[str]:
    """Return the nodes of the plan of a refresh, from the top."""
    dialect = create_engine("postgresql+psycopg://").dialect
    compiled = HONEST.compile(dialect=dialect)
    now = system_clock()
    given = {"fid": "0" * 32, "k": 0, "now": now, "issued_at": now, "window": 0, "key": None}
    with psycopg.connect(url) as connection:
        statement = f"EXPLAIN (FORMAT JSON) {compiled}".encode()
        found = connection.execute(statement, {**compiled.params, **given}).fetchone()
    document = (found or ([],))[0]
    return list(
        _nodes((json.loads(document) if isinstance(document, str) else document)[0]["Plan"])
    )


def _nodes(plan: dict[str, Any]) -> Iterator[str]:
    index = plan.get("Index Name")
    yield plan["Node Type"] + (f" ({index})" if index else "")
    for below in plan.get("Plans", []):
        yield from _nodes(below)
