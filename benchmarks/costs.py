"""What one request costs PostgreSQL: statements, round trips, commits, bytes of log and of table.

    python -m benchmarks.costs                    on a server of its own, which is removed again
    python -m benchmarks.costs postgresql://...   in an empty database of yours; its role must be
                                                  allowed to CHECKPOINT

Each kind of request is made `TIMES` times through the whole application. Statements and commits
are counted at the driver, round trips on the wire, by a relay: how often this side spoke again
after the other had; the median, since the background speaks now and then. Bytes of write-ahead log
are the distance that the log has moved, shared out; requests are made beforehand, so that the pages
are in the log since the last checkpoint. The first change of a page after a checkpoint writes the
whole page, which is told apart.

Nothing here depends on the speed of the machine but `refreshes a second`, which is mostly that of
its disk: each is committed by itself, and the client has its share of the cores.
"""

import asyncio
import hashlib
import itertools
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psycopg
from fastapi import FastAPI
from sqlalchemy import create_engine

from benchmarks.population import addresses
from limen.clock import system_clock
from limen.database.migrate import migrate
from limen.limen import Limen
from limen.refresh import HONEST
from limen.settings import Settings
from limen.tokens import fid_digest
from tests.clock import ManualClock
from tests.people import Person, attempt, calling_from, somebody
from tests.postgresql import a_server
from tests.relay import Relay
from tests.running import running
from tests.stored import row_counts
from tests.test_costs import counted

TIMES = 100
FAILURES = 40  # one address may fail fifty times
MANY = 10_000
SECONDS = 5

_ONE_A_PAGE = b"""
    SELECT DISTINCT ON ((ctid::text::point)[0]) replace(fid_hash::text, '-', '')
    FROM sessions WHERE ended_at IS NULL
    ORDER BY (ctid::text::point)[0]
"""

Step = Callable[[], Awaitable[httpx2.Response]]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one request of a kind costs on average."""

    name: str
    statements: float
    round_trips: float
    commits: float
    rows: float
    log: float


class Turns(Relay):
    """A relay that counts how often the client speaks after the server has spoken."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.count = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers += [writer, back]
        answered = asyncio.Event()
        answered.set()
        await asyncio.gather(
            self._carry(reader, back, answered, counts=True), self._carry(there, writer, answered)
        )

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answered: asyncio.Event,
        *,
        counts: bool = False,
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if not counts:
                    answered.set()
                elif answered.is_set():
                    answered.clear()
                    self.count += 1
                writer.write(data)
        writer.close()


@dataclass
class Bench:
    """The limen that is measured, a connection beside it, and the relay between it and there."""

    limen: Limen
    beside: psycopg.Connection[tuple[int]]
    turns: Turns

    def ask(self, question: str) -> int:
        found = self.beside.execute(question.encode()).fetchone()
        return 0 if found is None else int(found[0])

    def log(self) -> int:
        return self.ask("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")

    async def cost(self, name: str, step: Step, status: int, times: int = TIMES) -> Cost:
        """Take the step so many times, and so many times again; return what the latter cost."""
        for _ in range(times):
            await step()
        trips, rows = list[int](), await self._rows()
        with counted() as cost:
            before = self.log()
            for _ in range(times):
                trip = self.turns.count
                if (answer := await step()).status_code != status:
                    raise SystemExit(f"{name}: {answer.status_code}")
                trips.append(self.turns.count - trip)
            log = self.log() - before
        return Cost(
            name=name,
            statements=len(cost.statements) / times,
            round_trips=statistics.median(trips),
            commits=cost.commits / times,
            rows=(await self._rows() - rows) / times,
            log=log / times,
        )

    async def _rows(self) -> int:
        counts = await row_counts(self.limen)
        return sum(rows for table, rows in counts.items() if table != "sweeps")  # the background's


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")


async def requests(bench: Bench) -> AsyncIterator[Cost]:
    """Yield what each kind of request costs."""
    limen = bench.limen
    shop = FastAPI()
    shop.add_api_route("/orders", lambda: "none")
    limen.guard(shop)
    numbers = iter(range(10**6))
    transport = httpx2.ASGITransport(shop)
    async with (
        calling_from(limen, "127.0.0.1") as known,
        calling_from(limen, "198.51.100.7") as stranger,
        httpx2.AsyncClient(transport=transport, base_url="http://shop.test") as door,
    ):
        ada = await somebody(limen, known)
        yield await bench.cost("sign-in, known device", ada.sign_in, 200)
        yield await bench.cost("sign-in, new device", lambda: newly(limen, ada), 200)
        unknown = lambda: attempt(stranger, f"p{next(numbers)}@example.com")  # noqa: E731
        yield await bench.cost("failed sign-in", unknown, 401, FAILURES // 2)
        yield await bench.cost("refresh, bare", ada.refresh, 200)
        keyed = lambda: ada.refresh(key=f"retry-key-{next(numbers):010d}")  # noqa: E731
        yield await bench.cost("refresh, keyed", keyed, 200)
        yield await bench.cost(
            "guarded request", lambda: door.get("/orders", headers=ada.bearer()), 200
        )
        yield await bench.cost("/auth/me", ada.me, 200)
        people = [Person(known, ada.email, ada.user_id) for _ in range(2 * TIMES)]
        for person in people:
            await person.sign_in()
        leaving = iter(people)
        yield await bench.cost("logout", lambda: next(leaving).log_out(), 204)


async def newly(limen: Limen, person: Person) -> httpx2.Response:
    async with calling_from(limen, "127.0.0.1") as unknown:
        return await attempt(unknown, person.email)


async def tables(bench: Bench) -> list[str]:
    """Tell how many bytes an account and a session take; return the keys of the sessions."""
    features, keys = bench.limen.features, list[str]()
    people = addresses(MANY)
    before = {name: sizes(bench, name) for name in ("accounts", "sessions")}
    new = "INSERT INTO accounts VALUES (%s, %s, %s, repeat('$', 97), 1, '', 0)"
    with bench.beside.cursor() as cursor:
        cursor.executemany(new, [(ident(person), person, person) for person in people])
    async with features.database.write() as connection:
        for person in people:
            session = features.sessions.start(connection, user_id=ident(person), cv=1, scope="")
            keys.append(fid_digest(session.generation.fid))
    for name, (table, indexes) in before.items():
        now = sizes(bench, name)
        tell(
            f"{MANY} rows of {name}: {(now[0] - table) / MANY:.0f} bytes of table each, "
            f"{(now[1] - indexes) / MANY:.0f} of indexes"
        )
    return keys


def ident(person: str) -> str:
    return hashlib.sha256(person.encode()).hexdigest()[:32]


def sizes(bench: Bench, table: str) -> tuple[int, int]:
    return (
        bench.ask(f"SELECT pg_table_size('{table}')"),
        bench.ask(f"SELECT pg_indexes_size('{table}')"),
    )


class Rotations:
    """Refreshes as the database sees them: the statement, a commit each, without the tokens."""

    def __init__(self, now: int) -> None:
        rotation = HONEST.compile(dialect=create_engine("postgresql+psycopg://").dialect)
        self._sql = str(rotation).encode()
        self._always = {**rotation.params, "now": now, "issued_at": now, "window": 0, "key": None}

    def log(self, bench: Bench, keys: list[str]) -> None:
        """Tell how much log refreshing all sessions writes, first after a checkpoint, then later.

        The keys are digests, so their own order has nothing to do with that of the rows.
        """
        seldom = bench.beside.execute(_ONE_A_PAGE).fetchall()
        first = {str(fid) for (fid,) in seldom}
        bench.beside.execute("CHECKPOINT")
        self._tell_log(bench, "a page's first refresh", sorted(first))
        self._tell_log(bench, "a page's later refreshes", sorted({*keys} - first))
        table, indexes = sizes(bench, "sessions")
        for k in range(1, 4):
            for fid in sorted(keys, reverse=bool(k % 2)):
                self._rotate(bench.beside, fid, k)
        after = sizes(bench, "sessions")
        tell(
            f"refreshing all of them thrice made {(after[0] - table) / table:.0%} of table, "
            f"{(after[1] - indexes) / indexes:.0%} of indexes"
        )

    def speed(self, url: str, keys: list[str], connections: int) -> None:
        """Tell how many can be done in a second over so many connections."""
        done, end = [0] * connections, time.monotonic() + SECONDS

        def go_on(place: int) -> None:
            with psycopg.connect(url, autocommit=True) as connection:
                for fid in itertools.cycle(keys[place::connections]):
                    if time.monotonic() > end:
                        return
                    done[place] += 1
                    newer = connections * 10**9 + done[place]  # than the row, which catches up
                    self._rotate(connection, fid, newer)

        threads = [threading.Thread(target=go_on, args=(n,)) for n in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        tell(f"refreshes a second over {connections} connections: {sum(done) / SECONDS:.0f}")

    def _tell_log(self, bench: Bench, name: str, keys: list[str]) -> None:
        before = bench.log()
        for fid in keys:
            self._rotate(bench.beside, fid, 0)
        tell(f"{name} after a checkpoint: {(bench.log() - before) / len(keys):.0f} bytes of log")

    def _rotate(self, connection: psycopg.Connection[tuple[int]], fid: str, k: int) -> None:
        connection.execute(self._sql, {**self._always, "fid": fid, "k": k})


async def counts(url: str) -> list[Cost]:
    """Return what each kind of request costs, in an empty database."""
    async with _opened(url) as bench:
        return [cost async for cost in requests(bench)]


async def measure(url: str) -> None:
    """Measure everything in an empty database."""
    async with _opened(url) as bench:
        version = bench.beside.execute("SHOW server_version").fetchone()
        tell(f"PostgreSQL {(version or ('?',))[0]}")
        tell(f"{'':<26} statements  round trips  commits  rows  bytes of log")
        async for cost in requests(bench):
            tell(
                f"{cost.name:<26} {cost.statements:>10.1f} {cost.round_trips:>12g} "
                f"{cost.commits:>8.1f} {cost.rows:>5.1f} {cost.log:>13.0f}"
            )
        keys = await tables(bench)
        rotations = Rotations(system_clock())
        await asyncio.to_thread(rotations.log, bench, keys)
        for connections in (1, 16):
            await asyncio.to_thread(rotations.speed, url, keys, connections)


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Bench]:
    migrate(url)
    head, _, rest = url.rpartition(":")
    port, _, name = rest.partition("/")
    with (
        tempfile.TemporaryDirectory() as folder,
        psycopg.connect(url, autocommit=True) as beside,
    ):
        beside.execute("SET synchronous_commit = off")  # it writes as much, and sooner
        async with Turns(int(port)).running() as turns:
            settings = Settings(
                data_dir=Path(folder),
                database_url=f"{head}:{turns.port}/{name}",
                signing_algorithm="ES256",
            )
            async with running(settings, ManualClock()) as limen:
                yield Bench(limen, beside, turns)
            await asyncio.sleep(0.1)  # until the relay has seen the connections close


def main() -> None:
    if len(sys.argv) > 1:
        asyncio.run(measure(sys.argv[1]))
        return
    with a_server() as server:
        asyncio.run(measure(server.url))


if __name__ == "__main__":
    main()
