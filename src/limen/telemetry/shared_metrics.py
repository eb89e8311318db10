"""Metrics that several workers count together, so that any of them can show all of it.

prometheus_client has a way: each process counts in files of its own, mapped into memory, and
whoever is asked adds up the files of all. `limen serve --workers` gives its workers a private
folder for them, and names it in the environment before prometheus_client is imported, which is
when that decides. Three things it leaves to us:

    the ended   Their counts stay, or a counter would go backwards. They are added to one file, or
                each restart would leave more to be added up at every reading. What only the living
                have, such as a queue, goes with them.
    turns       Files are made and added up in turn, by a lock in the folder, and not while anybody
                reads. Else a reading could meet a file without a length, or counts that stand in
                two files or in none. Many may read at once; whoever comes while another waits to
                write stands behind him, at the gate, or readers could keep him out for ever.
    the place   In memory, where there is such a folder: a file mapped from a full disk kills the
                process that writes to it.

The supervisor locks the folder and hands the lock down to its workers, so that it is held until the
last of them is gone, however they end. A folder that nobody holds was left behind by a supervisor
and workers that were all killed; the next supervisor removes it.
"""

import fcntl
import os
import shutil
import struct
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

from prometheus_client import CollectorRegistry
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's name for it
ADDED_UP: Final = ("counter", "histogram")  # the kinds that limen has, apart from gauges

_IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108  the folder in it is this user's alone
_PREFIX: Final = "limen-metrics-"
_LOCK: Final = "limen.lock"
_GATE: Final = "limen.gate"


class SharedMetrics:
    """The supervisor's side: a folder for the length of the block.

    `held` is its lock, a file descriptor that workers keep open.

    Raises:
        OSError: There is no place for it.
    """

    def __init__(self) -> None:
        place = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK | os.X_OK) else None
        _clear_abandoned(place or Path(tempfile.gettempdir()))
        self._folder, self.held = _made(place)
        for name in (_LOCK, _GATE):
            (self._folder / name).touch()
        self._ended: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self.held)

    @property
    def environment(self) -> Mapping[str, str]:
        """What a worker's environment must have."""
        return {VARIABLE: str(self._folder)}

    def let_go(self, pid: int) -> None:
        """Keep what a worker that has ended had counted.

        It waits for nobody: without a turn, or room, the files are left as they are, and counted.
        """
        self._ended.add(pid)
        with suppress(OSError):
            mark_process_dead(pid, str(self._folder))  # type: ignore[no-untyped-call]
        with suppress(OSError), in_turn(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
            while self._ended:
                self._add_up(self._ended.pop())

    def _add_up(self, pid: int) -> None:
        for kind in ADDED_UP:
            file = self._folder / f"{kind}_{pid}.db"
            if file.exists():
                _add(file, self._folder / f"{kind}_ended.db")
                file.unlink()


def shared_folder() -> Path | None:
    """Return the folder if this process is a worker; one of somebody else's is none."""
    folder = os.environ.get(VARIABLE)
    return Path(folder) if folder and Path(folder, _LOCK).exists() else None


def clear_away() -> None:
    """Remove the folder in the supervisor's place."""
    if (folder := shared_folder()) is not None:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def in_turn(folder: Path | None, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Have the folder's files to oneself; without a folder, there is nobody else.

    With LOCK_SH they are shared with others who read.

    Raises:
        BlockingIOError: It is not our turn, and `how` says not to wait.
    """
    if folder is None:
        yield
        return
    with (folder / _LOCK).open("rb") as lock, (folder / _GATE).open("rb") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX | how & fcntl.LOCK_NB)
        fcntl.flock(lock, how)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield


def everybodys(folder: Path) -> CollectorRegistry:
    """Return what all workers have counted, to be read in turn."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    return registry


def _made(place: Path | None) -> tuple[Path, int]:
    """Make a folder and hold it."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(held, fcntl.LOCK_SH)
        if folder.exists():
            return folder, held
        os.close(held)  # somebody has taken it for abandoned, before it was locked


def _clear_abandoned(place: Path) -> None:
    for folder in place.glob(f"{_PREFIX}*"):
        with suppress(OSError), _opened(folder) as held:
            if os.fstat(held).st_uid == os.getuid():
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _add(source: Path, target: Path) -> None:
    counted: Any = MmapedDict  # it has no types
    try:
        entries = list(counted.read_all_values_from_file(str(source)))
    except (struct.error, RuntimeError):
        return  # killed before it had written anything
    _make_room(target, _used(target) + _used(source))
    sums = counted(str(target))
    try:
        for key, value, _, _ in entries:
            sums.write_value(key, sums.read_value(key)[0] + value, 0.0)
    finally:
        sums.close()


def _used(file: Path) -> int:
    """Return how many bytes of it count: it says so in the first four."""
    if not file.exists():
        return 0
    with file.open("rb") as opened:
        return int.from_bytes(opened.read(4), sys.byteorder)


def _make_room(file: Path, size: int) -> None:
    """Take the room beforehand: to find none is an error here, and the end in a mapped file."""
    with file.open("ab") as target:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(target.fileno(), 0, size)
