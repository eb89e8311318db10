"""What every test may use: a limen on each database, a clock to move, and people.

Whatever touches data runs twice, on a SQLite file and on PostgreSQL.
"""

import gc
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest

from limen import app as standalone
from limen.cli import GARBAGE
from limen.database import postgresql as postgresql_module
from limen.database import sqlite
from limen.database.migrate import migrate
from limen.events import Event
from limen.limen import Limen
from limen.settings import Argon2Cost, Settings
from tests.browser.programs import missing
from tests.clock import ManualClock
from tests.people import Person, calling_from, somebody
from tests.postgresql import OVERRIDE, Databases, a_server
from tests.serving import listening

# In memory, where there is room: a test waits for the code and not for the disk. Kills and crashes
# of processes lose no more there than on a disk.
_MEMORY = Path("/dev/shm")  # noqa: S108  pytest makes a folder of its own there
_ROOM = 4 << 30
if "TMPDIR" not in os.environ and _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM:
    os.environ["TMPDIR"] = str(_MEMORY)
    tempfile.tempdir = None  # it was asked for already, and remembered

# Below the floor of the settings: a test of something else must not wait for hashes.
CHEAPEST = Argon2Cost(memory_kib=8, passes=1, lanes=1)

# What concerns one kind of database alone.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a crowd wait for its turn at the database: a slow machine would answer some with 503."""
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 30.0)
    monkeypatch.setattr(postgresql_module, "PATIENCE_SECONDS", 30.0)
    monkeypatch.setattr(postgresql_module, "CONNECT_SECONDS", 30)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Databases]:
    """Databases in a PostgreSQL of the tests' own, or in the one that the environment names."""
    if named := os.environ.get(OVERRIDE):
        databases = Databases(named)
        yield databases
        databases.drop_all()
    else:
        with a_server(durable=False) as server:
            yield Databases(server.url)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a file that is not there yet."""
    return f"sqlite:///{tmp_path}/data/limen.db"


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with empty tables, to copy: migrating takes longer than a test."""
    path = tmp_path_factory.mktemp("migrated") / "limen.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def migrated_sqlite_url(tmp_path: Path, sqlite_url: str, migrated_file: Path) -> str:
    """The URL of a file with empty tables, for this test alone."""
    (tmp_path / "data").mkdir(0o700)
    shutil.copy(migrated_file, tmp_path / "data" / "limen.db")
    return sqlite_url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database for this test alone, of either kind, or of one: `@on_sqlite`."""
    if request.param == "sqlite":
        yield request.getfixturevalue("migrated_sqlite_url")
    else:
        databases: Databases = request.getfixturevalue("postgresql")
        with databases.migrated() as url:
            yield url


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Override this fixture in a module to test other settings."""
    return Settings(
        data_dir=tmp_path / "data", database_url=database_url, signing_algorithm="ES256"
    )


@pytest.fixture
def happened() -> list[Event]:
    """Every event, in order."""
    return []


@pytest.fixture
async def limen(
    settings: Settings, clock: ManualClock, happened: list[Event]
) -> AsyncIterator[Limen]:
    """A running limen. Its clock stands still; it signs with ES256, which is made quickly."""
    limen = Limen(settings, clock=clock, cost=CHEAPEST, subscribers=[happened.append])
    async with limen.lifespan():
        yield limen


@pytest.fixture
async def twin(limen: Limen, clock: ManualClock, happened: list[Event]) -> AsyncIterator[Limen]:
    """A second limen on the same database, as another process would be."""
    twin = Limen(limen.settings, clock=clock, cost=CHEAPEST, subscribers=[happened.append])
    async with twin.lifespan():
        yield twin


@pytest.fixture
async def http(limen: Limen) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the standalone application, without a socket between."""
    transport = httpx2.ASGITransport(standalone.build(limen))
    async with httpx2.AsyncClient(transport=transport, base_url="http://limen.test") as client:
        yield client


@pytest.fixture
async def wire(limen: Limen) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the standalone application that really listens on loopback."""
    limits = httpx2.Limits(max_connections=200)
    async with (
        listening(standalone.build(limen)) as url,
        httpx2.AsyncClient(
            base_url=url, limits=limits, timeout=120, trust_env=False, verify=False
        ) as client,
    ):
        yield client


@pytest.fixture
async def ada(limen: Limen, http: httpx2.AsyncClient) -> Person:
    """Somebody who has just signed in."""
    return await somebody(limen, http)


@pytest.fixture
async def stranger(limen: Limen) -> AsyncIterator[httpx2.AsyncClient]:
    """A client elsewhere that has never signed in, and so is no known device."""
    async with calling_from(limen, "198.51.100.7") as client:
        yield client


def pytest_collection_finish() -> None:
    """Look for garbage less often: not at all among what was imported and collected."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE, 20, 20)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what the tests have printed: figures of races, and seeds that repeat a run."""
    passed = [report for report in terminalreporter.getreports("passed") if report.when == "call"]
    for test, program in missing().items():
        terminalreporter.section(
            f"NOT RUN: tests/browser/{test} needs {program}: see tests/browser/install", red=True
        )
    terminalreporter.section("figures")
    for report in passed:
        if printed := report.capstdout.strip():
            terminalreporter.line(f"{report.nodeid}")
            terminalreporter.line("    " + printed.replace("\n", "\n    "))
