"""Where the processor time of a request goes: the event loop, the threads that hash, the others.

Linux counts for each thread how long it ran. The event loop is the first thread of its process, the
threads that hash are by far the busiest of the others.
"""

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.hashing import THREADS
from benchmarks.load import Served


class Share(NamedTuple):
    """What one request took, in milliseconds of a core."""

    loop: float
    hashing: float
    others: float


class Profile:
    """What the requests took that a process answered, a share for each time it was asked."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._shares: list[Share] = []

    def of(self, asking: Callable[[], Served]) -> Served:
        """Ask, and note what each request took meanwhile."""
        before, served = self._ran(), asking()
        ran = {thread: ran - before.get(thread, 0) for thread, ran in self._ran().items()}
        loop = ran.pop(self._pid)
        busiest = sorted(ran.values(), reverse=True)
        parts = (loop, sum(busiest[:THREADS]), sum(busiest[THREADS:]))
        self._shares.append(Share(*(part / 1e6 / served.answers for part in parts)))
        return served

    def note(self, what: str) -> str:
        """Say in words what the median was."""
        loop, hashing, others = map(statistics.median, zip(*self._shares, strict=True))
        return (
            f"{what} took {loop:.1f} ms of the event loop, {hashing:.1f} ms of the threads that "
            f"hash, and {others:.1f} ms of other threads"
        )

    def _ran(self) -> dict[int, int]:
        """Return how many nanoseconds each thread has run."""
        found = dict[int, int]()
        for task in Path(f"/proc/{self._pid}/task").iterdir():
            found[int(task.name)] = int((task / "schedstat").read_text("ascii").split()[0])
        return found
