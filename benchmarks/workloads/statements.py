"""What a request costs the database: statements, round trips, commits, rows and bytes of log.

Counts, the same on any machine; the suite holds them too (tests/test_costs.py).
"""

import asyncio

from benchmarks.bench import Bench, Result
from benchmarks.costs import Cost, counts
from benchmarks.figures import Figure, Finding, Target

TARGETS: dict[str, dict[str, Target]] = {
    "refresh, bare": {
        "statements": Target(most=1),
        "round trips": Target(most=1),
        "commits": Target(most=1),
        "rows added": Target(most=0),
    },
    "sign-in, known device": {"statements": Target(most=4), "commits": Target(most=2)},
    "guarded request": {"statements": Target(most=0), "round trips": Target(most=0)},
}


def run(bench: Bench) -> Result:
    result = Result()
    for cost in asyncio.run(counts(bench.postgresql())):
        shown = ", ".join(f"{value:g} {name}" for name, value in _figures(cost).items())
        result.notes.append(f"{cost.name}: {shown}, {cost.log:.0f} bytes of log")
        for name, target in TARGETS.get(cost.name, {}).items():
            value = _figures(cost)[name]
            figure = Figure(value, value, value)
            result.findings.append(Finding(f"{cost.name}: {name}", figure, "", target))
    return result


def _figures(cost: Cost) -> dict[str, float]:
    return {
        "statements": cost.statements,
        "round trips": cost.round_trips,
        "commits": cost.commits,
        "rows added": cost.rows,
    }
