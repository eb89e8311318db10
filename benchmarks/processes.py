"""Servers as processes of their own, and where they may run.

`limen serve` is started as an operator starts it, on a free port of loopback, with its default log
going to a file. Where one process alone is measured, it has the last core to itself, and whatever
asks it has the others, so that the client is not measured too.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from benchmarks.noise import ALL
from tests.cli.processes import serving

ROOT = Path(__file__).parents[1]
SERVE = Path(__file__).with_name("serve.py")
SECONDS = 60
ISSUER = "http://localhost:8000"  # what the tokens name; the port is another

SERVERS = frozenset({max(ALL)})
CLIENTS = (ALL - SERVERS) or ALL


class Running(NamedTuple):
    """A server that answers: where, and its process id."""

    url: str
    pid: int


@contextmanager
def on(cores: frozenset[int]) -> Iterator[None]:
    """Let what is started within the block run on these cores alone, as this thread does then."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def limen_serves(
    data: Path, settings: Mapping[str, str], *, cores: frozenset[int] = ALL
) -> Iterator[Running]:
    """Run `limen serve` for the length of the block."""
    command = (sys.executable, "-m", "limen")
    with on(cores):
        starting = serving(data, command=command, **{"LIMEN_LOG_FORMAT": "json", **settings})
        server = starting.__enter__()  # only the start is bound to the cores
    try:
        yield Running(server.url, server.process.pid)
    finally:
        starting.__exit__(None, None, None)


@contextmanager
def application(
    name: str,
    environment: Mapping[str, str],
    *options: str,
    cores: frozenset[int] = ALL,
    python: str = sys.executable,
) -> Iterator[Running]:
    """Serve an ASGI application of this folder, by its interpreter."""
    command = [python, str(SERVE), f"benchmarks.{name}", *options]
    paths = {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    with on(cores):
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**_plain_environment(), **paths, **environment},
            stdout=subprocess.PIPE,
            stderr=(said := tempfile.TemporaryFile("w+")),  # noqa: SIM115  closed below
            text=True,
        )
    with said, process:
        try:
            assert process.stdout is not None  # noqa: S101  it was asked for
            url = process.stdout.readline().strip()
            if not url:
                raise RuntimeError(f"{name} did not start: {_last_line(said)}")
            yield Running(url, process.pid)
        finally:
            process.kill()


@contextmanager
def program(
    command: list[str],
    port: int,
    environment: Mapping[str, str],
    *,
    folder: Path,
    cores: frozenset[int] = ALL,
) -> Iterator[Running]:
    """Run any other server, which listens on this port, for the length of the block."""
    url = f"http://127.0.0.1:{port}"
    with on(cores):
        process = subprocess.Popen(command, cwd=folder, env={**_plain_environment(), **environment})
    try:
        _wait(url, process)
        yield Running(url, process.pid)
    finally:
        process.terminate()
        process.wait(SECONDS)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def resident(pid: int) -> float:
    """Return how many MiB of memory a process has in use."""
    status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def emptied(folder: Path) -> Path:
    """Return the folder, made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _last_line(said: IO[str]) -> str:
    said.seek(0)
    return (said.read().strip().splitlines() or ["it said nothing"])[-1]


def _plain_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("LIMEN_")}


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=1).close()  # noqa: S310  loopback
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"{url} does not answer")
