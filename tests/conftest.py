"""What every test may use: a limen on a real SQLite file, a clock to move, and people."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from limen import app as standalone
from limen.events import Event
from limen.limen import Limen
from limen.settings import Argon2Cost, Settings
from tests.clock import ManualClock
from tests.people import Person, calling_from, somebody
from tests.serving import listening

# Below the floor of the settings: a test of something else must not wait for hashes.
CHEAPEST = Argon2Cost(memory_kib=8, passes=1, lanes=1)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Override this fixture in a module to test other settings."""
    return Settings(data_dir=tmp_path / "data", signing_algorithm="ES256")


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
        httpx2.AsyncClient(base_url=url, limits=limits, timeout=30, trust_env=False) as client,
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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what the tests have printed: figures of races, and seeds that repeat a run."""
    passed = [report for report in terminalreporter.getreports("passed") if report.when == "call"]
    terminalreporter.section("figures")
    for report in passed:
        if printed := report.capstdout.strip():
            terminalreporter.line(f"{report.nodeid}")
            terminalreporter.line("    " + printed.replace("\n", "\n    "))
