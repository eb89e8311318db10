"""Measure limen against its limits and its peers.

    python -m benchmarks                      everything, some twenty minutes
    python -m benchmarks --quick              what has a target, less exactly, in some three
    python -m benchmarks --only logins        one workload; may be repeated
    python -m benchmarks --report FILE      write a result into docs/performance.md, with its plots

A workload that cannot be measured says why, and the others go on. The result is a JSON file.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

# A real disk: the tests' fixtures would put databases into memory, where a commit costs nothing.
os.environ.setdefault("TMPDIR", tempfile.gettempdir())

from benchmarks import parity, plots, report
from benchmarks.bench import Bench
from benchmarks.environment import Peers
from benchmarks.figures import Pace
from benchmarks.noise import Noise
from benchmarks.results import Measured, Run
from benchmarks.workloads import WORKLOADS, Workload

RESULTS = Path(__file__).with_name("results")


def main() -> None:
    options = _options()
    if options.report:
        run = Run.read(options.report)
        report.write_page(run)
        plots.draw(run, report.PAGE.with_name("performance"))
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: no server stays behind
    chosen = [each for each in WORKLOADS if _is_wanted(each, options)]
    run = measure(chosen, quick=options.quick)
    run.write(options.output)
    plots.draw(run, options.output.with_suffix(""))
    _tell("", *report.lines(run), "", f"written to {options.output}")


def _is_wanted(workload: Workload, options: argparse.Namespace) -> bool:
    if options.only:
        return workload.name in options.only
    return workload.has_target or not options.quick


def measure(workloads: list[Workload], *, quick: bool) -> Run:
    """Run the workloads; tell on standard error how far it is."""
    began, folder = time.monotonic(), Path(tempfile.mkdtemp(prefix="limen-bench-"))
    peers, measured = Peers.install(), []
    try:
        with ExitStack() as stack:
            sheet = parity.sheet(folder, peers)
            for workload in workloads:
                cycles, seconds = workload.quick if quick else workload.full
                pace = Pace(cycles, seconds, quick)
                place = folder / workload.name
                bench = Bench(pace, Noise(), place, peers, stack.enter_context(ExitStack()))
                measured.append(_one(workload, bench))
                bench.stack.close()
                shutil.rmtree(place, ignore_errors=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Run(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        command=f"make bench{'-quick' if quick else ''}",
        seconds=time.monotonic() - began,
        parity=sheet,
        workloads=measured,
    )


def _one(workload: Workload, bench: Bench) -> Measured:
    began = time.monotonic()
    one = Measured(workload.name, workload.title, 0.0)
    try:
        one.result = workload.run(bench)
    except Exception as error:  # noqa: BLE001  one that fails takes no other with it, and is said
        one.failed = f"{type(error).__name__}: {error}"
    one.seconds = time.monotonic() - began
    print(*report.of_workload(one), sep="\n", file=sys.stderr, flush=True)  # noqa: T201
    return one


def _tell(*lines: str) -> None:
    print(*lines, sep="\n")  # noqa: T201  the result


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", choices=[each.name for each in WORKLOADS])
    parser.add_argument("--report", type=Path, metavar="FILE")
    parser.add_argument("--output", type=Path, metavar="FILE")
    options = parser.parse_args()
    if options.output is None:
        options.output = RESULTS / ("quick.json" if options.quick else "full.json")
    return options


if __name__ == "__main__":
    main()
