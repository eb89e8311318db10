"""The parity sheet: what was the same for everybody, on what machine; printed with the result."""

import os
import platform
import sqlite3
import ssl
import statistics
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

from benchmarks.environment import Peers
from benchmarks.hashing import THREADS, by_argon2_cffi, hash_time
from benchmarks.load import wrk
from benchmarks.noise import CORES
from benchmarks.peers_running import DJANGO_THREADS, node_hash_time
from benchmarks.population import COST
from limen import __version__
from limen.cli.huge_pages import huge_pages

_PACKAGES = (
    *("fastapi", "uvicorn", "h11", "sqlalchemy", "psycopg", "cryptography"),
    *("pynacl", "argon2-cffi"),
)
_TIMES = 15
_SYNCS = 40


def sheet(folder: Path, peers: Peers) -> dict[str, str]:
    """Return the sheet, line by line."""
    return {
        "machine": f"{_processor()}, {CORES} cores, {_memory()}, {platform.system()} "
        f"{platform.release()}",
        "disk": f"a sync of 4 KiB took {_sync(folder):.2f} ms (median of {_SYNCS})",
        "huge pages": huge_pages() or "this kernel has no setting for them",
        "limen": __version__,
        "Python": f"{platform.python_version()}; {ssl.OPENSSL_VERSION}",
        "packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        "peers in Python": str(peers.python),
        "peers in node": str(peers.node),
        "password hash": f"{COST}; {_hashes(peers)}; the same for all but the arms called "
        "'own hash'",
        "token algorithm": "RS256 (2048 bits) or ES256 as each arm says; the peers' own is HS256; "
        "Better Auth's is a cookie that names a session, looked up each time",
        "workers": f"one process each; limen hashes in {CORES} threads, simplejwt has "
        f"{DJANGO_THREADS}; Better Auth hashes in {THREADS}, its own hash in node's usual 4",
        "server": "limen serve: uvicorn with h11 on asyncio; FastAPI peers: the same; simplejwt: "
        "gunicorn, gthread; Better Auth: node's own, in production",
        "limits": "limen's are on, each request is from another address; Better Auth's are off; "
        "other peers: none",
        "logs": "limen's default, a JSON line a request into a file; peers: none",
        "database": f"SQLite {sqlite3.sqlite_version}, WAL, synchronous=FULL, for peers too, but "
        "Better Auth's is the one within better-sqlite3; PostgreSQL with its defaults and fsync, "
        "on this machine",
        "client": _client(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((x.partition(": ")[2] for x in lines if x.startswith("model name")), "unknown")


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / (1 << 30):.0f} GiB"


def _sync(folder: Path) -> float:
    took = []
    with (folder / "sync").open("wb") as file:
        for _ in range(_SYNCS):
            file.write(bytes(4096))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


def _hashes(peers: Peers) -> str:
    """Return how long one takes: it is computed by other code in limen, in Python and in node."""
    took = sorted(seconds * 1000 for seconds in hash_time(_TIMES))
    python = statistics.median(hash_time(_TIMES, by_argon2_cffi)) * 1000
    here = (
        f"one took {statistics.median(took):.1f} ms alone ({took[0]:.1f} to {took[-1]:.1f}) in "
        f"limen, {python:.1f} ms in the argon2-cffi of the peers in Python"
    )
    try:
        return f"{here}, {node_hash_time(peers) * 1000:.1f} ms in Better Auth's @node-rs/argon2"
    except RuntimeError:
        return here


def _client() -> str:
    if wrk() is None:
        return "our own for everything, for wrk is not there: it takes from the servers' cores"
    said = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False)  # noqa: S607
    return f"{said.stdout.splitlines()[0].split(' Copy')[0]} in closed loops; our own on schedules"
