"""S10, mcp-oauth PR #511: a hiccup of the storage was taken for a theft, and the session ended.

Whatever keeps the database from answering: 503 with Retry-After, the session as it was, and all
well again without a restart. Nor is a replay forgiven by it.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from limen.database.address import sqlite_path
from limen.database.connections import driver_of
from limen.database.schema import sessions
from limen.errors import DatabaseUnavailable
from limen.events import Event, Refreshed
from limen.limen import Limen
from tests.driver import Call, Kind, watching
from tests.people import Person
from tests.stored import disk_error, moved_away, rows

pytestmark = pytest.mark.anyio

Fault = Callable[[Limen], AbstractAsyncContextManager[None]]


# This transaction, and where a statement is alone, the next.
_READ_ONLY = ("SET transaction_read_only = on", "SET default_transaction_read_only = on")


@asynccontextmanager
async def locked(limen: Limen) -> AsyncIterator[None]:
    """Another process holds the lock that a write needs, and limen waits but a moment for it."""
    path = sqlite_path(limen.settings.database_url)
    async with _patience(limen):
        with _locked_tables(limen) if path is None else _locked_file(path):
            yield


@asynccontextmanager
async def _patience(limen: Limen) -> AsyncIterator[None]:
    """Wait for locks but a moment."""
    if sqlite_path(limen.settings.database_url):
        async with limen.features.database._writers.one() as connection:
            writer: Any = driver_of(connection)
        with pytest.MonkeyPatch.context() as impatient:
            impatient.setattr(writer, "patience", 0.25)
            async with _pragma(limen, "busy_timeout", 50, 3000):
                yield
    else:
        with _at_begin("SET lock_timeout = '50ms'"):
            yield


@contextmanager
def _locked_file(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def _locked_tables(limen: Limen) -> Iterator[None]:
    with psycopg.connect(limen.settings.database_url) as other:
        other.execute("LOCK TABLE sessions, revocation_counter IN EXCLUSIVE MODE")
        yield


@asynccontextmanager
async def gone(limen: Limen) -> AsyncIterator[None]:
    with moved_away(limen):
        yield


@asynccontextmanager
async def read_only(limen: Limen) -> AsyncIterator[None]:
    if sqlite_path(limen.settings.database_url):
        async with _pragma(limen, "query_only", 1, 0):
            yield
    else:
        with _at_begin(*_READ_ONLY):
            yield


@asynccontextmanager
async def full(limen: Limen) -> AsyncIterator[None]:
    """No page can be added to the file, and those of the revocations are full."""
    async with limen.features.database._writers.one() as connection:
        pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar_one()
    async with _pragma(limen, "max_page_count", pages, 1_000_000):
        with pytest.raises(DatabaseUnavailable):
            await _fill(limen)
        yield


@asynccontextmanager
async def broken(limen: Limen) -> AsyncIterator[None]:
    """The statement itself fails."""
    with _failing(limen, "statement"):
        yield


@asynccontextmanager
async def broken_at_commit(limen: Limen) -> AsyncIterator[None]:
    """Everything was written, and the commit fails."""
    with _failing(limen, "commit"):
        yield


FAULTS: dict[str, Fault] = {
    "locked": locked,
    "moved away": gone,
    "read-only": read_only,
    "failing": broken,
    "failing at commit": broken_at_commit,
}
ON_BOTH = [(kind, fault) for kind in ("sqlite", "postgresql") for fault in FAULTS.values()]
# A refresh that is honest needs no new page, and no commit of its own.
faults_of_a_refresh = pytest.mark.parametrize(
    ("database_url", "fault"),
    [(kind, fault) for kind, fault in ON_BOTH if fault is not broken_at_commit],
    indirect=["database_url"],
)
faults = pytest.mark.parametrize(
    ("database_url", "fault"), [*ON_BOTH, ("sqlite", full)], indirect=["database_url"]
)


@asynccontextmanager
async def _pragma(limen: Limen, name: str, within: int, after: int) -> AsyncIterator[None]:
    await _set(limen, name, within)
    try:
        yield
    finally:
        await _set(limen, name, after)


async def _set(limen: Limen, name: str, value: int) -> None:
    """Set a pragma of the connection that writes, outside of any transaction."""
    async with limen.features.database._writers.one() as connection:
        await driver_of(connection).ask(f"PRAGMA {name}={value}")


async def _fill(limen: Limen) -> None:
    """Write revocations that concern nobody, for as long as there is room."""
    for number in range(1, 1000):
        async with limen.features.database.write() as connection:
            await connection.exec_driver_sql(
                "INSERT INTO revocations VALUES (?, 'session', '', 0, 0)", (-number,)
            )


@contextmanager
def _at_begin(*statements: str) -> Iterator[None]:
    """Run statements at the start of every transaction that writes.

    A connection that only reads, for the background, would go on and be the next writer's.
    """

    async def run(call: Call) -> Any:
        if "BEGIN" in call.deferred or call.is_alone:
            for statement in statements:
                call.connection.defer(statement)
        return await call.make()

    with watching(run):
        yield


@contextmanager
def _failing(limen: Limen, kind: Kind) -> Iterator[None]:
    async def fail(call: Call) -> Any:
        if call.kind == kind:
            raise disk_error(limen)
        return await call.make()

    with watching(fail):
        yield


def assert_503(answer: httpx2.Response) -> None:
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


@faults_of_a_refresh
@pytest.mark.parametrize("key", [None, "retry-key-of-ada"], ids=["bare", "keyed"])
async def test_a_refresh_that_cannot_be_decided_is_503_and_costs_nothing(
    limen: Limen, ada: Person, happened: list[Event], fault: Fault, key: str | None
) -> None:
    before = await rows(limen, sessions)
    async with fault(limen):
        assert_503(await ada.refresh(key=key))

    assert await rows(limen, sessions) == before
    assert not any(isinstance(event, Refreshed) for event in happened)
    assert (await ada.refresh(key=key)).status_code == 200
    assert (await ada.refresh()).status_code == 200


@faults
async def test_a_replay_that_cannot_be_remembered_is_503_and_caught_the_next_time(
    limen: Limen, ada: Person, fault: Fault
) -> None:
    used = ada.tokens["refresh_token"]
    await ada.refresh()
    before = await rows(limen, sessions)

    async with fault(limen):
        assert_503(await ada.refresh(used))

    assert await rows(limen, sessions) == before
    assert (await ada.refresh(used)).status_code == 401
    assert (await ada.refresh()).status_code == 401
    assert (await ada.me()).status_code == 401


@faults
async def test_a_logout_that_cannot_be_remembered_is_503_and_ends_nothing(
    limen: Limen, ada: Person, fault: Fault
) -> None:
    async with fault(limen):
        assert_503(await ada.log_out())

    assert (await ada.me()).status_code == 200
    assert (await ada.log_out()).status_code == 204
    assert (await ada.me()).status_code == 401
