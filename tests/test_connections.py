"""Connections are lent in turn and come back clean, whatever becomes of the task that had one."""

import asyncio
import random
import secrets
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from sqlalchemy import column, insert, select, table, text

from limen.database.connections import Connections, driver_of
from limen.database.engine import Database
from limen.database.one_hop import OneHop
from limen.database.postgresql import Connection, PostgreSQL
from limen.database.prepared import Prepared
from limen.database.schema import blocked_passwords
from limen.database.sqlite import READERS, SQLite
from limen.errors import DatabaseUnavailable
from limen.events import DatabaseFailed, Event, Events
from tests.crowds import until
from tests.postgresql import Databases

pytestmark = pytest.mark.anyio

SIZE = 4
Work = Coroutine[Any, Any, None]

CUT = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
COUNT_UP = "UPDATE revocation_counter SET seq = seq + 1"


@pytest.fixture
def url(postgresql: Databases) -> Iterator[str]:
    with postgresql.migrated() as url:
        yield url


@pytest.fixture
async def database(url: str, happened: list[Event]) -> AsyncIterator[PostgreSQL]:
    database = PostgreSQL(
        url,
        Events(happened.append),
        connections=SIZE,
        statement_timeout=5,
        behind_pooler=False,
    )
    yield database
    await database.close()


@pytest.fixture
async def file(migrated_sqlite_url: str, happened: list[Event]) -> AsyncIterator[SQLite]:
    database = SQLite(Path(migrated_sqlite_url.removeprefix("sqlite:///")), Events(happened.append))
    yield database
    await database.close()


async def fill(database: Database) -> Connections:
    """Have all of them open and idle."""
    together = asyncio.Barrier(SIZE)

    async def one() -> None:
        async with database.read():
            await together.wait()

    await asyncio.gather(*(one() for _ in range(SIZE)))
    assert (database._readers.lent, len(database._readers._idle)) == (0, SIZE)
    return database._readers


async def cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def harry(chance: random.Random, seconds: float, work: Callable[[int], Work]) -> None:
    """Do 300 pieces of work at once, each cancelled up to three times, at random."""

    async def harried(number: int) -> None:
        task = asyncio.create_task(work(number))
        for _ in range(chance.randint(0, 3)):
            await asyncio.sleep(chance.uniform(0, seconds))
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    await asyncio.gather(*(harried(number) for number in range(300)))


async def test_a_statement_whose_task_is_cancelled_costs_the_others_nothing(
    database: PostgreSQL,
) -> None:
    """Whoever cancels requests must not have every connection opened anew."""
    connections = await fill(database)

    async def slow() -> None:
        async with database.read() as connection:
            await connection.execute(text("SELECT pg_sleep(60)"))

    task = asyncio.create_task(slow())
    await until(lambda: connections.lent == 1)
    await asyncio.sleep(0.05)
    await cancelled(task)
    await until(lambda: connections.lent == 0)

    assert len(connections._idle) >= SIZE - 1


async def test_one_that_was_cut_takes_the_idle_ones_along(
    database: PostgreSQL, url: str, happened: list[Event]
) -> None:
    """They have been cut, too: one request fails, and not one for each of them."""
    connections = await fill(database)
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(CUT)
    with pytest.raises(DatabaseUnavailable):
        async with database.read() as connection:
            await driver_of(connection).ask("SELECT 1")

    assert connections._idle == []
    async with database.read() as connection:
        assert await driver_of(connection).ask("SELECT 1") == [(1,)]
    assert len(happened) == 1


async def test_one_that_was_lent_when_all_were_cut_is_not_lent_again(
    database: PostgreSQL, url: str, happened: list[Event]
) -> None:
    """Whoever had it has not noticed: he was answered before, and asks nothing more."""
    await fill(database)
    async with database.read():
        with psycopg.connect(url, autocommit=True) as other:
            other.execute(CUT)
        with pytest.raises(DatabaseUnavailable):
            await counted_up(database)

    assert database._readers._idle == []
    assert await counted_up(database) == 0
    assert len(happened) == 1


COSTLESS = {
    "a mistake": ("SELECT 1 FROM nowhere", None),
    "a value that no text can have": ("SELECT %s", ("\0",)),
    "a statement that takes too long": ("SELECT pg_sleep(9)", None),
}


@pytest.mark.parametrize(("statement", "values"), COSTLESS.values(), ids=COSTLESS)
async def test_an_error_that_cut_nothing_costs_no_connection(
    database: PostgreSQL, statement: str, values: object
) -> None:
    connections = await fill(database)

    async def ask() -> None:
        async with database.read() as connection:
            await driver_of(connection).ask("SET statement_timeout = '50ms'")
            await driver_of(connection).ask(statement, values)

    with pytest.raises((DatabaseUnavailable, psycopg.Error)):
        await ask()

    assert (connections.lent, len(connections._idle)) == (0, SIZE)


async def test_one_that_is_opened_for_a_task_that_is_cancelled_is_kept_for_the_next(
    file: SQLite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place stays taken until then: there are never more than so many."""
    at_once, opening = file._open, threading.Event()

    def slowly() -> sqlite3.Connection:
        opening.set()
        time.sleep(0.2)
        return at_once()

    monkeypatch.setattr(file, "_open", slowly)

    async def read() -> None:
        async with file.read():
            pass

    task = asyncio.create_task(read())
    await until(opening.is_set)
    await cancelled(task)
    assert (file._readers.lent, file._readers._idle) == (1, [])
    await until(lambda: file._readers.lent == 0)

    assert len(file._readers._idle) == 1


async def test_a_place_is_free_again_if_its_giving_back_is_cancelled(file: SQLite) -> None:
    """Closed while it is lent, the connection is closed when it comes back, which takes a while."""
    inside, may_end = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with file.read():
            inside.set()
            await may_end.wait()

    task = asyncio.create_task(hold())
    await inside.wait()
    await file._readers.close()
    may_end.set()
    await asyncio.sleep(0)  # it is being closed
    await cancelled(task)

    assert file._readers.lent == 0
    assert file._readers._free._value == READERS


async def test_one_that_cannot_be_cleaned_is_nobodys(
    file: SQLite, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with file.write() as connection:
        spoilt = driver_of(connection)

    async def fail() -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(spoilt, "abandon", fail)
    with pytest.raises(LookupError):
        async with file.write():
            raise LookupError
    async with file.write() as connection:
        assert driver_of(connection) is not spoilt


async def test_who_waits_too_long_for_one_is_told_so(file: SQLite, happened: list[Event]) -> None:
    file._writers._patience = 0.05
    async with file.write():
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            async with file.write():
                pass

    assert time.monotonic() - began < 1
    assert happened == [DatabaseFailed("TimeoutError")]


async def test_an_error_without_a_name_is_an_outage(file: SQLite, happened: list[Event]) -> None:
    """Python's own module raises some, such as that of a text that is none."""
    async with file.write() as connection:
        await driver_of(connection).ask("CREATE TABLE torn (torn)")
        await driver_of(connection).ask("INSERT INTO torn VALUES (cast(x'ff' AS text))")
    with pytest.raises(DatabaseUnavailable):
        await file.at_once(Prepared(select(column("torn")).select_from(table("torn"))), {})

    assert happened == [DatabaseFailed("OperationalError")]


@pytest.fixture(params=["file", "database"], ids=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest) -> Database:
    return cast(Database, request.getfixturevalue(request.param))


async def counted_up(database: Database) -> int:
    async with database.read() as connection:
        ((seq,),) = await driver_of(connection).ask("SELECT seq FROM revocation_counter")
    return int(seq)


async def test_what_was_deferred_is_done_with_the_next_statement_or_the_commit(
    either: Database,
) -> None:
    async with either.write() as connection:
        driver = driver_of(connection)
        driver.defer(COUNT_UP)
        assert list(await driver.ask(f"{COUNT_UP} RETURNING seq")) == [(2,)]
        driver.defer(COUNT_UP)
        await connection.execute(text(COUNT_UP))  # SQLAlchemy's statements take it along, too
        driver.defer(COUNT_UP)

    assert await counted_up(either) == 5


@pytest.mark.parametrize("then", ["", COUNT_UP], ids=["commit", "statement"])
async def test_a_deferred_statement_that_fails_undoes_the_transaction(
    either: Database, then: str
) -> None:
    async def write() -> None:
        async with either.write() as connection:
            driver = driver_of(connection)
            await driver.ask(COUNT_UP)
            driver.defer("INSERT INTO revocation_counter (id, seq) VALUES (1, 1)")
            driver.defer(COUNT_UP)
            if then:
                await driver.ask(then)

    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        await write()

    assert await counted_up(either) == 0


async def test_what_a_block_that_raises_has_deferred_is_forgotten(either: Database) -> None:
    async def write() -> None:
        async with either.write() as connection:
            driver_of(connection).defer(COUNT_UP)
            raise LookupError

    with pytest.raises(LookupError):
        await write()
    async with either.write():
        pass

    assert await counted_up(either) == 0


async def test_many_rows_of_sqlalchemys_take_along_what_was_deferred(either: Database) -> None:
    """BEGIN above all: else they would stay when the block raises."""

    async def write() -> None:
        async with either.write() as connection:
            rows = [{"digest": number, "added_at": 0} for number in range(2)]
            await connection.execute(insert(blocked_passwords), rows)
            raise LookupError

    with pytest.raises(LookupError):
        await write()

    async with either.read() as connection:
        assert await driver_of(connection).ask("SELECT digest FROM blocked_passwords") in ([], ())


async def test_a_statement_of_a_transaction_is_never_asked_for_again(file: SQLite) -> None:
    """SQLite may have rolled it back: alone, it would commit by itself."""
    asked = 0

    def work(connection: sqlite3.Connection) -> None:
        nonlocal asked
        asked += 1
        connection.rollback()
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorname = "SQLITE_BUSY"
        raise error

    async def write() -> None:
        async with file.write() as connection:
            driver = cast(OneHop, driver_of(connection))
            await driver.ask(COUNT_UP)
            await driver.through(work)

    with pytest.raises(DatabaseUnavailable):
        await write()

    assert asked == 1
    assert await counted_up(file) == 0


async def test_a_write_that_is_cancelled_at_any_turn_leaves_what_answers(
    database: PostgreSQL,
) -> None:
    """A pipeline that was left open would answer whoever comes next with nothing, for ever."""
    chance = random.Random(seed := secrets.randbits(32))
    print(f"\n60 writes of an idle process, cancelled at a turn of its loop (seed {seed})")

    async def write() -> None:
        async with database.write() as connection:
            await driver_of(connection).ask(COUNT_UP)
            driver_of(connection).defer(COUNT_UP)

    for turn in range(60):
        await counted_up(database)
        await asyncio.sleep(0.006)
        task = asyncio.create_task(write())
        for _ in range(turn % 12):
            await asyncio.sleep(0)
        task.cancel()
        if chance.random() < 0.5:
            await asyncio.sleep(0)
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until(lambda: database._writers.lent == 0)

        assert await counted_up(database) % 2 == 0, turn


async def test_behind_a_pooler_nothing_is_sent_together(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = PostgreSQL(url, Events(), connections=1, statement_timeout=5, behind_pooler=True)

    def pipeline(_connection: object) -> None:
        pytest.fail("PgBouncer would keep a server busy")

    monkeypatch.setattr(psycopg.AsyncConnection, "pipeline", pipeline)
    try:
        async with database.write() as connection:
            await driver_of(connection).ask(COUNT_UP)
            driver_of(connection).defer(COUNT_UP)

        assert await counted_up(database) == 2
    finally:
        await database.close()


async def test_whoever_is_cancelled_whenever_leaves_no_transaction_in_postgresql(
    database: PostgreSQL, url: str
) -> None:
    chance = random.Random(seed := secrets.randbits(32))
    print(f"\n300 tasks, cancelled up to three times within 5 ms of their start (seed {seed})")
    done = 0

    async def work(number: int) -> None:
        nonlocal done
        async with database.write() as connection:
            driver = driver_of(connection)
            await driver.ask(COUNT_UP)
            driver.defer(COUNT_UP)
            if number % 3 == 1:
                raise LookupError
        done += 1

    await harry(chance, 0.005, work)
    await until(lambda: database._writers.lent == 0)
    with psycopg.connect(url, autocommit=True) as other:
        states = other.execute(
            "SELECT state FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        ).fetchall()

    assert {state for (state,) in states} <= {"idle"}
    for one in database._writers._idle:
        assert cast(Connection, driver_of(one))._deferred == []
    assert (await counted_up(database)) % 2 == 0
    assert (await counted_up(database)) >= 2 * done
    for _ in range(2 * SIZE):
        async with database.write() as connection:
            await driver_of(connection).ask(COUNT_UP)


async def test_whoever_is_cancelled_whenever_leaves_nothing_open(file: SQLite) -> None:
    chance = random.Random(seed := secrets.randbits(32))
    print(f"\n300 tasks, cancelled up to three times within 3 ms of their start (seed {seed})")
    before = set(threading.enumerate())

    async def work(number: int) -> None:
        if number % 3 == 0:
            async with file.read() as connection:
                await connection.execute(text("SELECT seq FROM revocation_counter"))
        else:
            async with file.write() as connection:
                await driver_of(connection).ask(COUNT_UP)
                if number % 3 == 1:
                    raise LookupError

    await harry(chance, 0.003, work)
    await until(lambda: file._writers.lent == file._readers.lent == 0)
    with closing(sqlite3.connect(file.path, timeout=0)) as other:
        other.execute("BEGIN IMMEDIATE")  # nobody has kept the lock
    await file.close()

    assert set(threading.enumerate()) <= before
