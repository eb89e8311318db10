"""What every machine of these tests has: a database, a limen that may be restarted, and a clock.

A machine runs its steps one by one in a loop of its own. `on_both` makes the two tests of it, one
on a SQLite file, one on PostgreSQL. Hypothesis chooses the steps, and on a failure prints them and
how to repeat them.
"""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import httpx2
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from limen.clock import SECOND
from limen.limen import Limen
from limen.settings import Settings
from tests.clock import ManualClock
from tests.people import calling_from
from tests.postgresql import Databases
from tests.running import running

T = TypeVar("T")

RESTARTS = 2  # in a run: a start takes as long as ten other steps

RUNS = settings(
    max_examples=15,
    stateful_step_count=30,
    deadline=None,
    derandomize=False,
    print_blob=True,
    phases=[Phase.generate],  # looking for a shorter failure takes minutes
    database=None,
    suppress_health_check=list(HealthCheck),
)


class Machine(RuleBasedStateMachine):
    """A limen, and somebody who calls it from this machine; the rules are those of subclasses."""

    options: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = Path(tempfile.mkdtemp())
        self.data = contextlib.ExitStack()
        self.settings = Settings(
            data_dir=self.directory,
            database_url=self.database(),
            signing_algorithm="ES256",
            **self.options,
        )
        self.clock = ManualClock()
        self.clock.now -= self.clock.now % SECOND
        self.restarts = 0
        self.stack = contextlib.AsyncExitStack()
        self.limen: Limen
        self.http: httpx2.AsyncClient
        self.run(self.start())

    def database(self) -> str:
        """The URL of an empty database."""
        return f"sqlite:///{self.directory}/limen.db"

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(step)

    async def start(self) -> None:
        self.limen = await self.stack.enter_async_context(running(self.settings, self.clock))
        self.http = await self.stack.enter_async_context(calling_from(self.limen, "127.0.0.1"))

    def teardown(self) -> None:
        self.run(self.stack.aclose())
        self.loop.close()
        self.data.close()
        shutil.rmtree(self.directory)

    @precondition(lambda self: self.restarts < RESTARTS)
    @rule()
    def restart(self) -> None:
        self.restarts += 1
        self.run(self.stack.aclose())
        self.run(self.start())


class OnPostgreSQL(Machine):
    """A machine on PostgreSQL."""

    databases: ClassVar[Databases]  # set by conftest.py

    def database(self) -> str:
        return self.data.enter_context(self.databases.migrated())


def on_both(machine: type[Machine], runs: settings = RUNS) -> tuple[Any, Any]:
    """Return the tests of a machine, on SQLite and on PostgreSQL."""
    there = type(f"{machine.__name__}OnPostgreSQL", (OnPostgreSQL, machine), {})
    tests = machine.TestCase, there.TestCase  # type: ignore[attr-defined]
    for test in tests:
        test.settings = runs
    return tests
