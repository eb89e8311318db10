"""PostgreSQL as limen uses it: reached by any URL, away and back, shared by many, migrated once."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from limen.cli.program import limen as program
from limen.database.migrate import migrate, needed_revision, status
from limen.database.schema import signing_keys
from limen.errors import ConfigurationError, DatabaseUnavailable, SchemaOutdated
from limen.events import Event, KeyCreated
from limen.limen import Limen
from limen.settings import Settings
from tests.clock import ManualClock
from tests.crowds import until
from tests.people import Person, attempt, calling_from, guess, somebody
from tests.postgresql import Databases, PostgreSQLServer, a_server
from tests.running import running
from tests.stored import rows, slots_taken

pytestmark = pytest.mark.anyio


@pytest.fixture
def database_url(postgresql: Databases) -> Iterator[str]:
    with postgresql.migrated() as url:
        yield url


@pytest.fixture
def empty(postgresql: Databases) -> Iterator[str]:
    """A database without any table."""
    with postgresql.empty() as url:
        yield url


@pytest.fixture
def at(tmp_path: Path) -> Settings:
    """Settings that name no database yet."""
    return Settings(data_dir=tmp_path / "data", signing_algorithm="ES256")


def as_written(url: str, shape: str) -> str:
    """Write the URL of a database in another shape; {place} is host and port, {name} its name."""
    place, _, name = url.partition("@")[2].partition("/")
    return shape.format(place=place, name=name)


SHAPES = {
    "postgres://": "postgres://limen@{place}/{name}",
    "postgresql+psycopg://": "postgresql+psycopg://limen@{place}/{name}",
    "sslmode": "postgresql://limen@{place}/{name}?sslmode=prefer",
    "options of libpq": "postgresql://{place}/{name}?user=limen&application_name=limen",
    "the first host is down": "postgresql://limen@127.0.0.1:1,{place}/{name}",
    "for writing": "postgresql://limen@127.0.0.1:1,{place}/{name}?target_session_attrs=read-write",
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
async def test_a_url_means_what_libpq_makes_of_it(
    at: Settings, clock: ManualClock, database_url: str, shape: str
) -> None:
    settings = replace(at, database_url=as_written(database_url, shape))
    async with running(settings, clock) as limen, calling_from(limen, "::1") as http:
        ada = await somebody(limen, http)

        assert (await ada.refresh()).status_code == 200


@pytest.mark.parametrize(
    "url",
    ["postgresql://limen@[::1/limen", "postgresql://ada:hunter2@db/limen?no_such_option=1"],
)
async def test_a_url_that_libpq_cannot_read_is_a_mistake_of_configuration(
    at: Settings, clock: ManualClock, url: str
) -> None:
    with pytest.raises(ConfigurationError, match="LIMEN_DATABASE_URL") as refused:
        async with running(replace(at, database_url=url), clock):
            pass

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("command", ["migrate", "doctor"])
def test_without_psycopg_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.setenv("LIMEN_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("LIMEN_DATABASE_URL", "postgresql:///limen")
    result = CliRunner().invoke(program, [command])

    assert result.exit_code == (78 if command == "migrate" else 1)
    assert "pip install 'limen[postgres]'" in result.output


async def test_a_server_that_is_away_stops_the_start_quickly(
    at: Settings, clock: ManualClock
) -> None:
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailable):
        async with running(replace(at, database_url="postgresql://127.0.0.1:1/limen"), clock):
            pass

    assert time.monotonic() - began < 5


# The schema.


async def test_a_start_refuses_an_old_schema_and_says_the_command(
    at: Settings, clock: ManualClock, empty: str, database_url: str
) -> None:
    with pytest.raises(SchemaOutdated, match=r"has no tables yet.*run 'limen migrate'"):
        async with running(replace(at, database_url=empty), clock):
            pass
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(SchemaOutdated, match=r"has the schema 0001.*run 'limen migrate'"):
        async with running(replace(at, database_url=database_url), clock):
            pass

    assert status(empty).current is None  # nothing was made


def test_a_migration_makes_the_schema_once(empty: str) -> None:
    assert migrate(empty).current is None
    assert migrate(empty).current == needed_revision()
    assert status(empty).is_current


MIGRATE = "import sys, limen.database.migrate as m; m.migrate(sys.argv[1])"


def test_processes_that_migrate_at_once_migrate_once(empty: str) -> None:
    command = [sys.executable, "-W", "error", "-c", MIGRATE, empty]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)
    ]
    ended = [(*process.communicate(timeout=30), process.returncode) for process in processes]

    assert ended == [(b"", b"", 0)] * 3
    with psycopg.connect(empty) as connection:
        found = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        counters = connection.execute("SELECT seq FROM revocation_counter").fetchall()
    assert (found, counters) == ([(needed_revision(),)], [(0,)])


def test_a_migration_that_fails_leaves_the_database_as_it_was(empty: str) -> None:
    with psycopg.connect(empty) as connection:  # the last table that it makes is in its way
        connection.execute("CREATE TABLE signing_keys (mine int)")
    with pytest.raises(Exception, match="signing_keys"):
        migrate(empty)

    with psycopg.connect(empty) as connection:
        left = connection.execute("SELECT relname FROM pg_stat_user_tables").fetchall()
    assert left == [("signing_keys",)]


# Many at once.


async def test_two_that_start_at_once_make_one_signing_key(
    settings: Settings, clock: ManualClock, happened: list[Event]
) -> None:
    async def run(ready: asyncio.Barrier) -> list[str]:
        async with running(settings, clock, happened.append) as limen:
            await ready.wait()
            await limen.features.following.catch_up()
            return [key.kid for key in limen.features.memory.ring.all]

    ready = asyncio.Barrier(4)
    found = await asyncio.gather(*(run(ready) for _ in range(4)))

    assert found == [found[0]] * 4
    assert sum(isinstance(event, KeyCreated) for event in happened) == 1
    async with running(settings, clock) as limen:
        assert len(await rows(limen, signing_keys)) == 1


async def test_limits_are_exact_and_free_of_deadlocks_whoever_succeeds_meanwhile(
    limen: Limen, twin: Limen
) -> None:
    """Many accounts and one address: taking and giving back meet in the same rows."""
    for number in range(6):
        await somebody(limen, calling_from(limen, "127.0.0.1"), f"p{number}@example.com")
    async with (
        calling_from(limen, "198.51.100.7") as one,
        calling_from(twin, "198.51.100.7") as two,
    ):
        statuses = set()
        for _ in range(6):  # fewer at a time than an account and an address have slots
            answers = await asyncio.gather(
                *(
                    attempt(client, f"p{number}@example.com")
                    for number in [*range(6)] * 2
                    for client in (one, two)
                )
            )
            statuses |= {answer.status_code for answer in answers}

    assert statuses == {200}
    assert set((await slots_taken(limen)).values()) == {0}


async def test_five_guesses_are_admitted_over_two_processes(
    limen: Limen, twin: Limen, ada: Person
) -> None:
    async with (
        calling_from(limen, "198.51.100.7") as one,
        calling_from(twin, "198.51.100.8") as two,
    ):
        answers = await asyncio.gather(
            *(guess(client, ada.email) for _ in range(20) for client in (one, two))
        )

    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(401), statuses.count(429)) == (5, 35)


# Away and back.


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgreSQLServer]:
    """A server that may be stopped."""
    with a_server() as server:
        yield server


@pytest.fixture(scope="module")
def own_databases(own_server: PostgreSQLServer) -> Databases:
    return Databases(own_server.url)


@pytest.fixture
async def apart(own_databases: Databases, at: Settings, clock: ManualClock) -> AsyncIterator[Limen]:
    """A limen on the server that may be stopped."""
    with own_databases.migrated() as url:
        async with running(replace(at, database_url=url), clock) as limen:
            yield limen


@pytest.mark.parametrize(
    "end", [PostgreSQLServer.stop, PostgreSQLServer.kill], ids=["stop", "kill"]
)
async def test_while_the_server_is_away_it_is_503_and_then_service_without_a_restart(
    apart: Limen, own_server: PostgreSQLServer, end: Callable[[PostgreSQLServer], None]
) -> None:
    async with calling_from(apart, "127.0.0.1") as http:
        ada = await somebody(apart, http)
        await asyncio.to_thread(end, own_server)
        began = time.monotonic()
        away = [await ada.refresh(), await ada.sign_in(), await ada.log_out()]
        took = time.monotonic() - began
        guarded = apart.verifier.check(ada.tokens["access_token"])
        await asyncio.to_thread(own_server.start)
        refreshed = await ada.refresh()

        assert [(one.status_code, one.json()["code"]) for one in away] == [
            (503, "database_unavailable")
        ] * 3
        assert all(int(one.headers["Retry-After"]) > 0 for one in away)
        assert took < 3
        assert guarded.user_id == ada.user_id
        assert refreshed.status_code == 200
        assert (await ada.sign_in()).status_code == 200
        async with asyncio.timeout(5):
            await until(lambda: apart.features.memory.revocations.is_fresh)


async def test_a_statement_that_takes_too_long_is_503_and_the_connection_is_good_again(
    settings: Settings, clock: ManualClock
) -> None:
    impatient = replace(settings, database_statement_timeout=1)
    async with running(impatient, clock) as limen, calling_from(limen, "127.0.0.1") as http:
        ada = await somebody(limen, http)
        with psycopg.connect(settings.database_url) as other:
            other.execute("LOCK TABLE sessions")
            began = time.monotonic()
            late = await ada.refresh()
            took = time.monotonic() - began

        assert (late.status_code, late.json()["code"]) == (503, "database_unavailable")
        assert 0.5 < took < 2
        assert (await ada.refresh()).status_code == 200


async def test_more_requests_than_connections_wait_in_turn(
    settings: Settings, clock: ManualClock
) -> None:
    narrow = replace(settings, database_connections=1)
    async with running(narrow, clock) as limen, calling_from(limen, "127.0.0.1") as http:
        people = [await somebody(limen, http, f"p{number}@example.com") for number in range(10)]
        answers = await asyncio.gather(*(person.refresh() for person in people))

        assert {answer.status_code for answer in answers} == {200}


async def test_behind_a_pooler_nothing_is_prepared_or_listened_to(
    settings: Settings, clock: ManualClock
) -> None:
    behind = replace(settings, database_pooler="transaction")
    async with running(behind, clock) as limen, calling_from(limen, "127.0.0.1") as http:
        ada = await somebody(limen, http)
        for _ in range(8):
            assert (await ada.refresh()).status_code == 200
        async with limen.features.database.read() as connection:
            prepared = await connection.exec_driver_sql("SELECT name FROM pg_prepared_statements")
            assert prepared.all() == []
            listening = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN%%'"
            named = f"{listening} AND datname = current_database()"
            assert (await connection.exec_driver_sql(named)).all() == []


async def test_closing_leaves_no_connection(settings: Settings, clock: ManualClock) -> None:
    async with running(settings, clock) as limen, calling_from(limen, "127.0.0.1") as http:
        await somebody(limen, http)
    mine = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND backend_type = 'client backend'"
    )
    with psycopg.connect(settings.database_url) as connection:
        deadline = time.monotonic() + 20
        left = 2
        while left > 1 and time.monotonic() < deadline:
            left = connection.execute(mine).fetchone()[0]  # type: ignore[index]
            connection.rollback()

    assert left == 1
