"""What is measured: the table of workloads, one file each."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.bench import Bench, Result
from benchmarks.workloads import (
    first_seen,
    garbage,
    growth,
    guarded,
    isolation,
    login_latency,
    logins,
    overload,
    refresh,
    revocation,
    servers,
    start,
    statements,
)


@dataclass(frozen=True, slots=True)
class Workload:
    """One of them; `full` and `quick` are its cycles, and the seconds of an arm within each."""

    name: str
    title: str
    run: Callable[[Bench], Result]
    full: tuple[int, float]
    quick: tuple[int, float]
    has_target: bool = True


WORKLOADS = (
    Workload("logins", "Logins a second", logins.run, (2, 6), (2, 1)),
    Workload("login_latency", "Latency of a login", login_latency.run, (4, 1), (2, 0.5)),
    Workload("guarded", "Guarded requests", guarded.run, (4, 1), (2, 1)),
    Workload("first_seen", "Each token once", first_seen.run, (6, 1), (3, 1)),
    Workload("garbage", "Garbage and forged tokens", garbage.run, (4, 1), (2, 1)),
    Workload("refresh", "Refreshes", refresh.run, (3, 1), (2, 1)),
    Workload("isolation", "Guarded beside logins", isolation.run, (2, 2), (1, 1)),
    Workload("overload", "Ten times too many logins", overload.run, (2, 2), (1, 1)),
    Workload("revocation", "Ended here, refused there", revocation.run, (4, 1), (1, 1)),
    Workload("servers", "Servers alone", servers.run, (3, 1), (2, 1), has_target=False),
    Workload("start", "Start and memory", start.run, (5, 1), (1, 1)),
    Workload("statements", "What the database is asked", statements.run, (1, 1), (1, 1)),
    Workload("growth", "Growing", growth.run, (4, 1), (2, 1)),
)
