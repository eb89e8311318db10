"""From the start of `limen serve` to the first answer of /healthz, and an idle worker's memory."""

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.bench import Bench, Result
from benchmarks.figures import Finding, Target, interleaved
from benchmarks.population import populate
from benchmarks.processes import free_port, resident
from tests.cli.processes import environment

PATIENCE = 30.0
IDLE_SECONDS = 1.5


def run(bench: Bench) -> Result:
    used = bench.data()
    populate(used, None, people=10, sessions=10)
    memory: list[float] = []

    def again(_seconds: float) -> float:
        took, mebibytes = _started(used)
        memory.append(mebibytes)
        return took

    arms = {"first start": lambda _: _started(bench.data())[0], "start": again}
    times = interleaved(bench.pace, bench.noise, arms)
    result = Result.of(times, "s")
    start = result.arms["start"]
    result.findings.append(Finding("start to /healthz", start, "s", Target(most=1.5)))
    first = result.arms["first start"]
    what = "the same at first start: tables, secret and keys are made"
    result.findings.append(Finding(what, first, "s"))
    idle = times.figure(lambda _: sorted(memory)[len(memory) // 2])
    result.findings.append(Finding("memory of an idle worker", idle, "MiB", Target(most=110)))
    return result


def _started(data: Path) -> tuple[float, float]:
    """Return the seconds until it answered, and its memory when it had rested."""
    port, began = free_port(), time.perf_counter()
    with _serving(data, port) as process:
        while time.perf_counter() - began < PATIENCE:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).close()
            except OSError:
                time.sleep(0.005)
            else:
                break
        took = time.perf_counter() - began
        time.sleep(IDLE_SECONDS)
        return took, resident(process.pid)


@contextmanager
def _serving(data: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "limen", "serve", "--port", str(port)]
    settings = environment(data, LIMEN_SIGNING_ALGORITHM="RS256")
    with (data.parent / "log").open("ab") as log:
        process = subprocess.Popen(command, env=settings, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)
