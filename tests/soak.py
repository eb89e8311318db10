"""The long faults, over and over, and one table of what they did: `make soak`.

    python -m tests.soak --kills 1000 --repeat 10 --refreshes 1000000 --timing 200

Each fault is its test, run by pytest: `kill -9` of workers in one run on each database, the bad
network of simulated clients in one run, the others so many runs as they are. What the tests record
(`tests.faults.figures`) is added up. Then time is asked who has an account (`tests.timing`). The
tables are the last things printed, and the exit code is 1 if a test failed or anything did not
hold.
"""

import argparse
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

# Once, with as many kills and refreshes as asked for, and what is repeated if it is there.
KILLED = ("faults/test_sigkill.py",)
SIMULATED = ("client/test_bad_network.py",)
REPEATED = ("faults/test_postgresql_restarts.py", "faults/test_failover.py")

# A column of the table, and what a test calls it when it records its figures.
COLUMNS = {
    "times": "times",
    "requests": "requests",
    "broken": "broken",
    "endings verified": "verified",
    "lost": "lost",
    "forked": "forked",
    "signed out": "signed_out",
}
ZEROS = ("lost", "forked", "signed_out")


@dataclass(slots=True)
class Row:
    """A fault on a database: the sums over all its runs; no `figures` if the test records none."""

    figures: dict[str, int] = field(default_factory=dict)
    runs: int = 0
    failed: int = 0
    seconds: float = 0

    def add(self, report: pytest.TestReport) -> None:
        self.runs += 1
        self.failed += report.failed
        self.seconds += report.duration
        for name, value in report.user_properties:
            if isinstance(value, int):
                self.figures[name] = self.figures.get(name, 0) + value

    def held(self) -> bool:
        return not self.failed and not any(self.figures.get(name) for name in ZEROS)


class Table:
    """The rows by fault and database; a plugin of pytest, which reports to it."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Row] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.failed:
            self.rows.setdefault(_names(report), Row()).add(report)

    def lines(self) -> Iterable[str]:
        """Yield the table in Markdown."""
        head = ("fault", "database", *COLUMNS, "failed runs", "seconds")
        yield f"| {' | '.join(head)} |"
        yield f"| --- | --- |{' ---: |' * (len(head) - 2)}"
        for (fault, database), row in self.rows.items():
            known = {"times": row.runs} | row.figures
            counts = [f"{known[name]:,}" if name in known else "" for name in COLUMNS.values()]
            cells = (fault, database, *counts, f"{row.failed} of {row.runs}", f"{row.seconds:.0f}")
            yield f"| {' | '.join(cells)} |"

    def held(self) -> bool:
        return bool(self.rows) and all(row.held() for row in self.rows.values())


def main() -> int:
    asked = _arguments()
    table = Table()
    os.environ["LIMEN_TEST_KILLS"] = str(asked.kills)
    os.environ["LIMEN_TEST_REFRESHES"] = str(asked.refreshes)
    status = 0
    for names in (KILLED, SIMULATED, *[REPEATED] * asked.repeat):
        status |= _run(names, table)
    options = f"KILLS={asked.kills} REPEAT={asked.repeat} REFRESHES={asked.refreshes}"
    print(f"\nmake soak {options} TIMING={asked.timing}, {os.cpu_count()} cores:\n")
    print("\n".join(table.lines()))
    from tests import timing  # noqa: PLC0415  pytest wants to be the first to import anyio

    tells_nothing = timing.table(asked.timing) if asked.timing else True
    return 0 if status == 0 and table.held() and tells_nothing else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--kills", type=int, default=1000, help="of workers, on each database")
    parser.add_argument("--repeat", type=int, default=10, help="runs of each other fault")
    parser.add_argument("--refreshes", type=int, default=1_000_000, help="of simulated clients")
    parser.add_argument("--timing", type=int, default=200, help="rounds of timed calls; 0 for none")
    return parser.parse_args()


def _run(names: Iterable[str], table: Table) -> int:
    there = [str(TESTS / name) for name in names if (TESTS / name).exists()]
    status = pytest.main(["-q", *there], plugins=[table]) if there else 0
    if status == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    return status


def _names(report: pytest.TestReport) -> tuple[str, str]:
    """Name the fault and the database; a fault that names none brings its own PostgreSQL."""
    test, _, parameter = report.nodeid.rpartition("::")[2].rstrip("]").partition("[")
    words = test.removeprefix("test_").replace("_", " ")
    said = dict(report.user_properties)
    return str(said.get("fault", words)), parameter or str(said.get("database", "postgresql"))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell says of Ctrl-C
