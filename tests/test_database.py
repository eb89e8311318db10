"""SQLite as it must be run, on real files: locked, full, moved away, replaced, and used by two."""

# ruff: noqa: ASYNC240  nobody else waits on this loop

import asyncio
import gc
import random
import secrets
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Executable, create_engine, insert, text, update
from sqlalchemy.exc import IntegrityError

from limen.database import sqlite
from limen.database.engine import Database
from limen.database.migrate import migrate, needed_revision, status
from limen.database.prepared import Prepared
from limen.database.schema import accounts, metadata, revocation_counter
from limen.database.sqlite import BUSY_SECONDS, SQLite, _Connection
from limen.errors import ConfigurationError, DatabaseUnavailable
from limen.events import DatabaseFailed, Event, Events
from tests.crowds import until
from tests.refusals import rows_in_file

pytestmark = pytest.mark.anyio

CANARY = "kanarie@example.com"
COUNT_UP = "UPDATE revocation_counter SET seq = seq + 1 RETURNING seq"
COUNT = "SELECT seq FROM revocation_counter"


def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "limen.db"
    migrate(url(path))
    return path


@pytest.fixture
async def database(
    path: Path, happened: list[Event], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Database]:
    """A database that waits for a lock a quarter of a second: a test cannot wait for three."""
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.25)
    monkeypatch.setitem(sqlite._PRAGMAS, "busy_timeout", 250)
    database = SQLite(path, Events(happened.append))
    yield database
    await database.close()


@contextmanager
def another_process(path: Path, timeout: float = 0) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=timeout)) as connection:
        yield connection


async def count_up(database: Database) -> int:
    async with database.write() as connection:
        found = await connection.exec_driver_sql(COUNT_UP)
        return int(found.scalar_one())


async def count(database: Database) -> int:
    async with database.read() as connection:
        return int((await connection.exec_driver_sql(COUNT)).scalar_one())


async def pragmas(database: Database, *, write: bool) -> dict[str, object]:
    names = ("journal_mode", "synchronous", "foreign_keys", "query_only", "busy_timeout")
    async with database.write() if write else database.read() as connection:
        return {
            name: (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()
            for name in names
        }


async def test_every_connection_has_the_pragmas(path: Path) -> None:
    database = SQLite(path, Events())
    expected = {
        "journal_mode": "wal",
        "synchronous": 2,  # FULL
        "foreign_keys": 1,
        "busy_timeout": 3000,
    }
    writing = {**expected, "query_only": 0, "busy_timeout": 0}  # it polls for the lock itself
    try:
        assert await pragmas(database, write=True) == writing
        readings = await asyncio.gather(*(pragmas(database, write=False) for _ in range(4)))
        assert readings == [{**expected, "query_only": 1}] * 4
    finally:
        await database.close()
    assert BUSY_SECONDS == 3


async def test_a_write_has_its_lock_before_it_reads(database: Database, path: Path) -> None:
    """One that began as a reader would fail with "database is locked", whatever the timeout."""
    async with database.write() as connection:
        await connection.exec_driver_sql("SELECT seq FROM revocation_counter")
        with another_process(path) as other, pytest.raises(sqlite3.OperationalError):
            other.execute("BEGIN IMMEDIATE")

    with another_process(path) as other:
        other.execute("BEGIN IMMEDIATE")


async def test_readers_see_what_is_committed_and_wait_for_nobody(database: Database) -> None:
    async with database.write() as connection:
        await connection.exec_driver_sql(COUNT_UP)
        assert await asyncio.gather(*(count(database) for _ in range(8))) == [0] * 8
    assert await count(database) == 1


async def test_writers_go_one_after_the_other(database: Database) -> None:
    seen = await asyncio.gather(*(count_up(database) for _ in range(40)))

    assert sorted(seen) == list(range(1, 41))


async def test_a_process_that_writes_all_the_time_starves_nobody(
    database: Database, path: Path
) -> None:
    stop = threading.Event()

    def hog() -> int:
        with another_process(path, timeout=10) as other:
            written = 0
            while not stop.is_set():
                other.execute("BEGIN IMMEDIATE")
                other.execute(COUNT_UP)
                time.sleep(0.005)
                other.execute("COMMIT")
                time.sleep(0.001)  # as long as a process of ours takes to begin its next write
                written += 1
            return written

    hogging = asyncio.get_running_loop().run_in_executor(None, hog)
    took = []
    try:
        for _ in range(20):
            began = time.monotonic()
            await count_up(database)
            took.append(time.monotonic() - began)
    finally:
        stop.set()
    others = await hogging

    print(f"{others} writes of another process beside 20; waited {max(took) * 1000:.0f} ms at most")
    assert others > 0


async def test_a_block_that_raises_has_written_nothing(database: Database) -> None:
    with pytest.raises(LookupError):  # noqa: PT012  the block is the subject
        async with database.write() as connection:
            await connection.exec_driver_sql(COUNT_UP)
            raise LookupError

    assert await count(database) == 0
    assert await count_up(database) == 1


async def test_a_writer_that_is_cancelled_makes_room(database: Database) -> None:
    inside = asyncio.Event()

    async def stuck() -> None:
        async with database.write() as connection:
            await connection.exec_driver_sql(COUNT_UP)
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(stuck())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await count_up(database) == 1


async def test_a_writer_that_is_cancelled_at_any_moment_takes_no_lock_along(
    database: Database,
) -> None:
    """Also where the garbage collector, which would free the lock in the end, does not come by."""
    chance = random.Random(seed := secrets.randbits(32))
    print(f"\n200 writers, cancelled within 2 ms of their start (seed {seed})")
    gc.disable()
    try:
        for _ in range(200):
            task = asyncio.create_task(count_up(database))
            await asyncio.sleep(chance.uniform(0, 0.002))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await count_up(database)
    finally:
        gc.enable()


async def test_a_reader_cannot_write(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        async with database.read() as connection:
            await connection.exec_driver_sql(COUNT_UP)

    assert await count(database) == 0


async def test_a_locked_database_is_unavailable_in_bounded_time(
    database: Database, path: Path, happened: list[Event]
) -> None:
    await count_up(database)
    with another_process(path) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            await count_up(database)
        assert time.monotonic() - began < 2
        assert happened == [DatabaseFailed("SQLITE_BUSY")]
        assert await count(database) == 1  # reading goes on
        other.execute("ROLLBACK")

    assert await count_up(database) == 2


async def test_a_transaction_that_is_one_step_waits_for_another_processs_lock(
    database: Database, path: Path
) -> None:
    counting = update(revocation_counter).values(seq=revocation_counter.c.seq + 1)
    one_more = Prepared(counting.returning(revocation_counter.c.seq))

    async def in_one_step() -> None:
        async with database.write() as connection:
            one_more.later(connection, {}, rows=1)

    await in_one_step()
    with another_process(path) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(in_one_step())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        other.execute("ROLLBACK")

        await waiting
        assert other.execute(COUNT_UP).fetchall() == [(3,)]  # it holds no lock any more


async def test_those_who_wait_behind_a_lock_wait_no_longer_each(
    database: Database, path: Path
) -> None:
    with another_process(path) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        results = await asyncio.gather(
            *(count_up(database) for _ in range(30)), return_exceptions=True
        )
        assert time.monotonic() - began < 2
        other.execute("ROLLBACK")

    assert {type(result) for result in results} == {DatabaseUnavailable}
    assert await count_up(database) == 1


async def test_a_full_disk_is_an_outage_and_passes(
    database: Database, path: Path, happened: list[Event]
) -> None:
    async with database.write() as connection:
        pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar_one()
        await connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    row = insert(accounts).values(
        user_id="u",
        email="e",
        email_key="e",
        password_hash="x" * 500_000,
        cv=1,
        scope="",
        created_at=0,
    )
    with pytest.raises(DatabaseUnavailable):
        async with database.write() as connection:
            await connection.execute(row)
    assert happened == [DatabaseFailed("SQLITE_FULL")]

    async with database.write() as connection:
        await connection.exec_driver_sql("PRAGMA max_page_count=1000000")
        await connection.execute(row)
    assert rows_in_file(path)["accounts"] == 1


async def test_a_database_that_has_gone_is_not_made_anew(
    database: Database, path: Path, happened: list[Event]
) -> None:
    await count_up(database)
    away = path.with_name("away.db")
    path.rename(away)
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            await count_up(database)
        with pytest.raises(DatabaseUnavailable):
            await count(database)
    assert not path.exists()
    assert set(happened) == {DatabaseFailed("SQLITE_CANTOPEN")}

    away.rename(path)
    assert await count_up(database) == 2


async def test_a_database_that_was_replaced_is_the_one_that_is_used(
    database: Database, path: Path
) -> None:
    await count_up(database)
    backup = path.with_name("backup.db")
    with another_process(path) as live, closing(sqlite3.connect(backup)) as copy:
        live.backup(copy)
    assert await count_up(database) == 2
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    backup.replace(path)

    assert await count(database) == 1
    assert await count_up(database) == 2
    with another_process(path) as other:
        assert other.execute(COUNT).fetchone() == (2,)


async def test_a_file_that_became_garbage_is_an_outage(database: Database, path: Path) -> None:
    garbage = path.with_name("garbage")
    garbage.write_bytes(b"garbage" * 10_000)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    garbage.replace(path)

    with pytest.raises(DatabaseUnavailable):
        await count(database)
    with pytest.raises(DatabaseUnavailable):
        await count_up(database)


async def test_no_parameter_is_in_any_exceptions_text(database: Database) -> None:
    row = {
        "user_id": CANARY,
        "email": CANARY,
        "email_key": CANARY,
        "password_hash": CANARY,
        "cv": 1,
        "scope": "",
        "created_at": 0,
    }
    failing: list[tuple[Executable, dict[str, object]]] = [
        (insert(accounts), row),
        (insert(accounts), {**row, "user_id": "other"}),
        (insert(accounts), {**row, "email_key": "other", "password_hash": None}),
        (text("SELECT * FROM nowhere WHERE email = :email"), {"email": CANARY}),
        (text("SELECT * FROM accounts WHERE email = :email AND"), {"email": CANARY}),
    ]
    async with database.write() as connection:
        await connection.execute(insert(accounts), row)
    for statement, parameters in failing:
        with pytest.raises((IntegrityError, DatabaseUnavailable)) as caught:
            async with database.write() as connection:
                await connection.execute(statement, parameters)
        told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
        assert CANARY not in told


async def test_closing_leaves_no_thread(path: Path) -> None:
    before = set(threading.enumerate())
    database = SQLite(path, Events())
    await count_up(database)
    await asyncio.gather(*(count(database) for _ in range(4)))
    assert set(threading.enumerate()) > before
    await database.close()

    for thread in set(threading.enumerate()) - before:
        thread.join(5)  # it has said that it ends
    assert set(threading.enumerate()) == before


async def test_closing_waits_for_who_still_has_a_connection(path: Path) -> None:
    """It could not be closed any more, once its pool has gone."""
    before, database = set(threading.enumerate()), SQLite(path, Events())
    has_one, may_end = asyncio.Event(), asyncio.Event()

    async def read() -> None:
        async with database.read():
            has_one.set()
            await may_end.wait()

    reading = asyncio.create_task(read())
    await has_one.wait()
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0.05)
    assert not closing.done()
    may_end.set()
    await asyncio.gather(reading, closing)

    assert set(threading.enumerate()) == before


async def test_closing_waits_for_a_connection_whose_task_was_cancelled(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread would speak to an event loop that has gone."""
    before, opening = set(threading.enumerate()), threading.Event()
    database = SQLite(path, Events())
    at_once = database._open

    def slowly() -> sqlite3.Connection:
        opening.set()
        time.sleep(0.3)
        return at_once()

    monkeypatch.setattr(database, "_open", slowly)
    reading = asyncio.create_task(count(database))
    await until(opening.is_set)
    reading.cancel()
    await asyncio.wait([reading])
    assert set(threading.enumerate()) > before
    await database.close()

    assert set(threading.enumerate()) == before


ODD_NAMES = [
    "with space",
    "per%20cent",
    "100%",
    "question?mode=memory",
    "hash#tag",
    "a&cache=shared",
    "semi;colon",
    "quote's",
    'double"quote',
    "back\\slash",
    "new\nline",
    "ünïcödé 数据",
    "-dash",
    ":memory:",
    "file:x",
    "{data_dir}",
    "$HOME",
    "*",
]


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
async def test_a_path_is_taken_as_it_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / f"{name}.db"
    migrate(url(path))
    database = SQLite(path, Events())
    try:
        assert await count_up(database) == 1
        assert await count(database) == 1
        assert await database.revision() == needed_revision() == status(url(path)).current
    finally:
        await database.close()

    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_migrations_make_the_schema(path: Path) -> None:
    with create_engine(f"sqlite:///{path}").connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == needed_revision()


def test_migrating_again_changes_nothing(path: Path) -> None:
    before = path.read_bytes()

    assert migrate(url(path)).is_current
    assert path.read_bytes() == before


def test_a_start_on_a_migrated_database_does_not_load_alembic(path: Path) -> None:
    program = f"{MIGRATE}; print('alembic' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program, url(path)], capture_output=True, text=True, check=True
    )

    assert ran.stdout == "False\n"


def test_what_is_no_database_is_a_mistake_of_configuration(tmp_path: Path) -> None:
    path = tmp_path / "limen.db"
    path.write_bytes(b"this is no database" * 1000)
    before = path.read_bytes()

    with pytest.raises(ConfigurationError):
        migrate(url(path))
    assert path.read_bytes() == before


def test_a_newer_schema_is_left_alone(path: Path) -> None:
    with another_process(path) as other:
        other.execute("UPDATE alembic_version SET version_num = '9999'")

    for look in (migrate, status):
        with pytest.raises(ConfigurationError, match="changed by a newer limen"):
            look(url(path))
    with another_process(path) as other:
        assert other.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "limen.db"
    with another_process(path) as other:  # the last table that the migration makes is in its way
        other.execute("CREATE TABLE signing_keys (mine)")

    with pytest.raises(DatabaseUnavailable):
        migrate(url(path))
    with another_process(path) as other:
        names = [name for (name,) in other.execute("SELECT name FROM sqlite_master")]
    assert names == ["signing_keys"]


async def test_a_new_database_is_for_this_user_alone_wherever_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "limen.db"
    tmp_path.chmod(0o755)
    migrate(url(path))
    database = SQLite(path, Events())
    try:
        async with database.read() as connection:
            await connection.exec_driver_sql("SELECT 1 FROM accounts")
        modes = {entry.name: entry.stat().st_mode & 0o777 for entry in tmp_path.iterdir()}
    finally:
        await database.close()

    assert modes == dict.fromkeys(("limen.db", "limen.db-wal", "limen.db-shm"), 0o600)


def test_a_file_that_cannot_be_made_is_a_mistake_of_configuration(tmp_path: Path) -> None:
    path = tmp_path / "limen.db"
    path.symlink_to(tmp_path / "missing" / "limen.db")

    with pytest.raises(ConfigurationError):
        migrate(url(path))


MIGRATE = "import sys, limen.database.migrate as m; m.migrate(sys.argv[1])"


def test_processes_that_start_at_once_migrate_once(tmp_path: Path) -> None:
    path = tmp_path / "data" / "limen.db"
    command = [sys.executable, "-W", "error", "-c", MIGRATE, url(path)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)
    ]
    ended = [(*process.communicate(timeout=30), process.returncode) for process in processes]

    assert ended == [(b"", b"", 0)] * 3
    with another_process(path) as other:
        assert other.execute("SELECT version_num FROM alembic_version").fetchall() == [
            (needed_revision(),)
        ]
    assert rows_in_file(path)["revocation_counter"] == 1


def test_a_sqlite_connection_that_cannot_roll_back_is_closed_all_the_same(tmp_path: Path) -> None:
    class Broken(_Connection):
        def rollback(self) -> None:
            raise sqlite3.OperationalError("disk I/O error")

    connection = sqlite3.connect(tmp_path / "database", isolation_level=None, factory=Broken)
    connection.execute("BEGIN")
    with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
        connection.close()

    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        connection.execute("SELECT 1")
