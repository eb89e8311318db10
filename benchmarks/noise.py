"""What else the machine did meanwhile: a cycle that was disturbed is dropped, and said.

    other programs    the time of all cores, less that of this process and its descendants
    the host          time that a virtual machine wanted and did not get ("steal")
    the cores         a fixed piece of work on every core at once, before and after: it takes longer
                      where a neighbour heats, or shares, the same silicon

Where the kernel does not tell (no /proc), only the fixed piece of work is looked at.
"""

import hashlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SPIN_BYTES = 8 << 20  # hashed on each core: some ten milliseconds
SPINS = 9
SLOWER = 1.30  # than the best spin: more than what a clock rate wanders by itself
OTHERS = 0.10  # of one core, to other programs and to the host: a kernel thread or two need less
SETTLE_SECONDS = 0.2
IDLE_SECONDS = 0.5  # for so long nobody works, when what was begun is done
PATIENCE_SECONDS = 60.0

_PROC = Path("/proc")
_TICK = os.sysconf("SC_CLK_TCK")
ALL = frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset({0})
CORES = len(ALL)


@dataclass
class Watched:
    """What was seen while something ran; `disturbance` is None where it was let alone."""

    disturbance: str | None = None


@dataclass
class Noise:
    """The quiet of this machine, as it was found at the beginning."""

    best: float = 0.0
    dropped: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        with _everywhere() as pool:
            self.best = min(_spin(pool) for _ in range(SPINS))

    @contextmanager
    def watch(self) -> Iterator[Watched]:
        """Watch the machine for the length of the block."""
        watched = Watched()
        with _everywhere() as pool:
            before = _spin(pool)
            began, ours, all_ = time.monotonic(), _ours(), _everybodys()
            yield watched
            took = time.monotonic() - began
            others = (_everybodys() - all_) - (_ours() - ours)
            time.sleep(SETTLE_SECONDS)  # what has just run is still being put away
            slower = max(before, _spin(pool)) / self.best
        if took and others / took > OTHERS:
            watched.disturbance = f"others used {others / took:.2f} cores"
        elif slower > SLOWER:
            watched.disturbance = f"the cores were {slower:.2f} times slower"


def wait_until_idle() -> None:
    """Wait until the cores are let alone: a server goes on with what nobody waits for any more."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        before = _everybodys()
        time.sleep(IDLE_SECONDS)
        if _everybodys() - before <= OTHERS * IDLE_SECONDS:
            return


def _everywhere() -> ThreadPoolExecutor:
    """Return threads that may run on every core, wherever this thread may."""
    if not hasattr(os, "sched_setaffinity"):
        return ThreadPoolExecutor(CORES)
    return ThreadPoolExecutor(CORES, initializer=os.sched_setaffinity, initargs=(0, ALL))


def _spin(pool: ThreadPoolExecutor) -> float:
    """Return the seconds of the fixed piece of work, on all cores at once; the best of three."""
    block = bytes(SPIN_BYTES)

    def once() -> float:
        began = time.perf_counter()
        list(pool.map(lambda _: hashlib.sha256(block).digest(), range(CORES)))
        return time.perf_counter() - began

    return min(once() for _ in range(3))


def _everybodys() -> float:
    """Return the seconds that the cores were used, or withheld, since the machine started."""
    try:
        fields = (_PROC / "stat").read_text("ascii").split("\n", 1)[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _idle, _iowait, _irq, _softirq, steal = map(int, fields[:8])
    return (user + nice + system + steal) / _TICK


def _ours() -> float:
    """Return the seconds that this process and its descendants used, also those that have ended."""
    used, parents = dict[int, int](), dict[int, int]()
    for folder in _PROC.glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        parents[int(folder.name)] = int(fields[1])
        used[int(folder.name)] = sum(map(int, fields[11:15]))
    return sum(ticks for pid, ticks in used.items() if _is_ours(pid, parents)) / _TICK


def _is_ours(pid: int, parents: dict[int, int]) -> bool:
    while pid > 1:
        if pid == os.getpid():
            return True
        pid = parents.get(pid, 0)
    return False
