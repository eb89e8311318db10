"""What every workload is given, and what it gives back."""

import itertools
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from benchmarks.environment import Peers
from benchmarks.figures import Figure, Finding, Pace, Rates
from benchmarks.noise import Noise
from benchmarks.processes import emptied
from tests.postgresql import a_server

SEED = 20261129


@dataclass
class Bench:
    """The machine, the folder, the servers and the peers of one run."""

    pace: Pace
    noise: Noise
    folder: Path
    peers: Peers
    stack: ExitStack
    _server: str | None = None
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def data(self) -> Path:
        """Return a data directory that is not there yet, in an empty folder of its own."""
        return emptied(self.folder / f"limen{next(self._numbers)}") / "data"

    def postgresql(self) -> str:
        """Return the URL of an empty database, in a PostgreSQL that syncs what it commits."""
        if self._server is None:
            self._server = self.stack.enter_context(a_server()).url
        name = f"bench{next(self._numbers)}"
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        return self._server.rpartition("/")[0] + f"/{name}"


@dataclass
class Result:
    """What a workload found: lines of the table, what each arm came to, and what is to be said."""

    findings: list[Finding] = field(default_factory=list)
    arms: dict[str, Figure] = field(default_factory=dict)
    unit: str = ""
    notes: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    disturbed: bool = False

    @classmethod
    def of(cls, rates: Rates, unit: str) -> "Result":
        """Begin with what each arm came to."""
        names = rates.kept[0]
        arms = {name: rates.figure(lambda cycle, name=name: cycle[name]) for name in names}  # type: ignore[misc]
        notes = [f"{name} was not measured: {why}" for name, why in rates.failed.items()]
        return cls([], arms, unit, notes, rates.dropped, rates.disturbed)
