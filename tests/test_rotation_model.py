"""What the exhaustive search proves of the rule, and that limen's SQL statement is that rule."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from itertools import product

import pytest
from sqlalchemy import Dialect
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateTable

from limen.clock import SECOND
from limen.database.schema import accounts, sessions
from limen.refresh import RETRY_WINDOW, ROTATION, Outcome
from tests.rotation_model import (
    WINDOW,
    Calamity,
    Keys,
    Row,
    Setback,
    Setting,
    decide,
    explore,
)

KEYED = Setting(Keys.STORED)
KEYED_THEFT = Setting(Keys.STORED, theft=True, on_the_way=2)
KEYED_SETBACK = Setting(Keys.STORED, setback=Setback.AT_ONCE, on_the_way=2)
KEYED_THEFT_SETBACK = Setting(
    Keys.STORED, theft=True, setback=Setback.AT_ONCE, on_the_way=1, generations=4
)
KEYED_PAUSE = Setting(Keys.STORED, setback=Setback.AFTER_A_PAUSE, on_the_way=2)
KEYED_REOPENED = Setting(Keys.STORED, setback=Setback.REOPENED, on_the_way=2)
OWN_KEYS = Setting(Keys.OF_EACH_TAB)
STRICT = Setting(Keys.NONE)
STRICT_THEFT = Setting(Keys.NONE, theft=True, on_the_way=2)
GRACE = Setting(Keys.NONE, grace=10)
GRACE_THEFT = Setting(Keys.NONE, grace=10, theft=True, on_the_way=2)

IMPOSSIBLE: list[tuple[str, Setting, set[Calamity]]] = [
    ("keyed", KEYED, {"honest sign-out"}),
    ("keyed, restored after a pause", KEYED_PAUSE, {"honest sign-out"}),
    ("keyed, windows re-opened", KEYED_REOPENED, {"honest sign-out"}),
    ("keyed, theft", KEYED_THEFT, {"unnoticed theft", "thief stays"}),
    ("keyed, theft, set back", KEYED_THEFT_SETBACK, {"unnoticed theft"}),
    ("strict, theft", STRICT_THEFT, {"unnoticed theft", "thief stays"}),
    ("grace, theft", GRACE_THEFT, {"thief stays"}),
]

# The price of each choice: docs/refresh.md tells these stories.
POSSIBLE: list[tuple[str, Setting, Calamity]] = [
    ("strict", STRICT, "honest sign-out"),
    ("grace", GRACE, "honest sign-out"),
    ("grace, theft", GRACE_THEFT, "unnoticed theft"),
    ("a key of each tab's own", OWN_KEYS, "honest sign-out"),
    ("keyed, replica takes over", KEYED_SETBACK, "honest sign-out"),
]


explored = cache(explore)


@pytest.mark.parametrize(
    ("name", "setting", "calamities"), IMPOSSIBLE, ids=[name for name, *_ in IMPOSSIBLE]
)
def test_it_cannot_happen(name: str, setting: Setting, calamities: set[Calamity]) -> None:
    found = explored(setting)
    print(f"\n{name}: {found.states} states, none with {' or '.join(sorted(calamities))}")

    assert {calamity: found.ways.get(calamity) for calamity in calamities} == dict.fromkeys(
        calamities
    )


@pytest.mark.parametrize(
    ("name", "setting", "calamity"), POSSIBLE, ids=[f"{name}: {what}" for name, _, what in POSSIBLE]
)
def test_it_can_happen(name: str, setting: Setting, calamity: Calamity) -> None:
    found = explored(setting)
    way = found.ways.get(calamity)
    print(f"\n{name}: {found.states} states; {calamity}: {'; '.join(way or ())}")

    assert way


def test_the_search_finds_what_is_there() -> None:
    """It has teeth: without its keys, the keyed world falls."""
    assert explore(Setting(Keys.NONE, on_the_way=2)).ways.keys() == {"honest sign-out"}


# What the statement is compared on: every row and every token of a small session, at each edge of
# both windows, also with a clock that was set back.
NOW = 1_800_000_000 * SECOND
GRACES = (0, 10)
AGES = (-3600, -60, -59, -10, -1, 0, 9, 10, 59, 60, 3600)
GENERATIONS = range(4)
STORED_KEYS = (None, "a", "b")
SENT_KEYS = (None, "a", "c")


def rows() -> Iterator[Row]:
    for gen, key, age, confirmed, ended in product(
        GENERATIONS, STORED_KEYS, AGES, (True, False), (True, False)
    ):
        yield Row(gen, key, age, confirmed=confirmed, ended=ended)


def test_the_statement_is_the_rule() -> None:
    cases, seen = 0, set()
    with closing(sqlite3.connect(":memory:")) as database:
        database.row_factory = sqlite3.Row
        for table in (accounts, sessions):
            database.execute(str(CreateTable(table).compile(dialect=DIALECT)))
        database.execute(
            "INSERT INTO accounts (user_id, email, email_key, password_hash, cv, scope, created_at)"
            " VALUES ('u', 'e', 'e', 'p', 7, 's', 0)"
        )
        for row, k, key, grace in product(rows(), range(6), SENT_KEYS, GRACES):
            expected = decide(row, k, key, grace if key is None else WINDOW)
            assert presented(database, row, k, key, grace) == expected, (row, k, key, grace)
            cases += 1
            seen.add(expected[0])

    print(f"\n{cases} cases: the statement and the model agree")
    assert seen == {*Outcome, None}
    assert WINDOW * SECOND == RETRY_WINDOW


DIALECT: Dialect = sqlite.dialect(paramstyle="named")
COMPILED = ROTATION.compile(dialect=DIALECT)


def presented(
    database: sqlite3.Connection, row: Row, k: int, key: str | None, grace: int
) -> tuple[Outcome | None, Row]:
    """Put the row into the database, present the token, and read the row again."""
    ended_at = NOW if row.ended else None
    database.execute("DELETE FROM sessions")
    database.execute(
        "INSERT INTO sessions (fid_hash, sid, user_id, cv, gen, retry_key, confirmed, handed_at,"
        " rotated_at, created_at, abs_exp, ended_at, outcome)"
        " VALUES ('f', 's', 'u', 7, ?, ?, ?, ?, 0, 0, ?, ?, 0)",
        (row.gen, row.retry_key, row.confirmed, NOW - row.age * SECOND, NOW + 1, ended_at),
    )
    window = grace * SECOND if key is None else RETRY_WINDOW
    own = {"fid": "f", "k": k, "now": NOW, "window": window, "key": key, "issued_at": NOW}
    decided = database.execute(COMPILED.string, {**COMPILED.params, **own}).fetchone()
    after = database.execute("SELECT * FROM sessions").fetchone()
    return (
        None if decided is None else Outcome(decided["outcome"]),
        Row(
            after["gen"],
            after["retry_key"],
            (NOW - after["handed_at"]) // SECOND,
            confirmed=bool(after["confirmed"]),
            ended=after["ended_at"] is not None,
        ),
    )
