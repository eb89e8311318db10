"""The peers, and the least program, running: how each is served, and how one signs in there.

Workloads take them from the table at the end, and treat them all alike.
"""

import re
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.asking import BEARER, sign_in_by_form, sign_in_by_json, sign_in_by_page
from benchmarks.bench import Bench
from benchmarks.environment import NODE_HOME, Peers
from benchmarks.figures import WrongAnswerError
from benchmarks.hashing import THREADS
from benchmarks.load import Asking
from benchmarks.noise import ALL
from benchmarks.population import COST, PASSWORD
from benchmarks.processes import SECONDS, Running, application, free_port, program
from limen.stored_hashes.argon2 import argon2_hash

APPLICATIONS = Path(__file__).with_name("peers")
DJANGO_THREADS = 16


@contextmanager
def noted(peer: str, notes: list[str]) -> Iterator[None]:
    """Note a peer that does not start, or lets nobody in, and go on without it."""
    try:
        yield
    except (OSError, RuntimeError, WrongAnswerError) as error:
        notes.append(f"{peer} was not measured: {error}")


def the_least(
    bench: Bench, database: str, algorithm: str, *, cores: frozenset[int] = ALL
) -> AbstractContextManager[Running]:
    """Serve what signs in and refreshes and does nothing else, on "SQLite" or "PostgreSQL"."""
    place = bench.data().parent / "least.db" if database == "SQLite" else bench.postgresql()
    given = {"BENCH_DATABASE": str(place), "BENCH_ALGORITHM": algorithm}
    return application("apps.least:app", given, cores=cores)


@contextmanager
def tutorial(bench: Bench, *, hashing: str = "equal", cores: frozenset[int] = ALL) -> Iterator[str]:
    """Serve the shape of FastAPI's tutorial."""
    python = bench.peers.python.required
    given = {"PEER_HASH": hashing}
    with application("peers.tutorial:app", given, cores=cores, python=python) as running:
        yield running.url


@contextmanager
def fastapi_users(
    bench: Bench, *, hashing: str = "equal", cores: frozenset[int] = ALL
) -> Iterator[str]:
    """Serve fastapi-users on SQLite."""
    python, file = bench.peers.python.required, bench.data().parent / "peer.db"
    given = {"PEER_HASH": hashing, "PEER_DATABASE": f"sqlite+aiosqlite:///{file}"}
    with application("peers.fastapi_users_app:app", given, cores=cores, python=python) as running:
        yield running.url


@contextmanager
def django(
    bench: Bench,
    *,
    database: str | None = None,
    hashing: str = "equal",
    cores: frozenset[int] = ALL,
) -> Iterator[str]:
    """Serve Django REST framework with simplejwt, by gunicorn in one process; None is SQLite."""
    python, port = bench.peers.python.required, free_port()
    database = database or f"sqlite://{bench.data().parent / 'peer.db'}"
    given = {"PEER_HASH": hashing, "PEER_DATABASE": database}
    prepared = subprocess.run(
        [python, "drf.py"], cwd=APPLICATIONS, env=given, capture_output=True, text=True, check=False
    )
    if prepared.returncode != 0:
        raise RuntimeError(prepared.stderr.strip().splitlines()[-1])
    threads = ["--worker-class", "gthread", "--threads", str(DJANGO_THREADS)]
    served = ["--bind", f"127.0.0.1:{port}", "--log-level", "warning", "--keep-alive", "30"]
    command = [python, "-m", "gunicorn", *threads, *served, "drf:application"]
    with program(command, port, given, folder=APPLICATIONS, cores=cores) as running:
        yield running.url


@contextmanager
def better_auth(
    bench: Bench, *, hashing: str = "equal", cores: frozenset[int] = ALL
) -> Iterator[str]:
    """Serve Better Auth on SQLite, by node."""
    command, port = _node(bench.peers, "better_auth.mjs"), free_port()
    given = {
        "NODE_ENV": "production",
        "PEER_DATABASE": str(bench.data().parent / "peer.db"),
        "PEER_HASH": hashing,
        "PEER_PORT": str(port),
    }
    if hashing == "equal":
        given["UV_THREADPOOL_SIZE"] = str(THREADS)
    with program(command, port, given, folder=NODE_HOME, cores=cores) as running:
        yield running.url


def node_hash_time(peers: Peers) -> float:
    """Return the seconds that limen's hash takes in node, which has another implementation.

    Raises:
        RuntimeError: There is no node, or it could not.
    """
    command = _node(peers, "hash_time.mjs")
    ran = subprocess.run(
        [*command, argon2_hash(PASSWORD, COST), PASSWORD],
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode != 0:
        raise RuntimeError("node could not hash")
    return float(ran.stdout) / 1000


def _node(peers: Peers, file: str) -> list[str]:
    """Return the command for a file, which goes where the packages are: there node looks for them.

    Raises:
        RuntimeError: There is no node.
    """
    node = peers.node.required
    return [node, str(shutil.copy(APPLICATIONS / file, NODE_HOME))]


def signed_in(url: str, asking: Asking, pattern: str) -> list[str]:
    """Sign in as each of the items, and return what the pattern finds in each answer."""
    found = list[str]()
    for item in asking.items:
        body = (asking.body or "").replace("{item}", item).encode()
        request = urllib.request.Request(url + asking.path, body, asking.headers)  # noqa: S310  loopback
        with urllib.request.urlopen(request, timeout=SECONDS) as reply:  # noqa: S310  loopback
            answer = f"{reply.headers}{reply.read().decode()}"
        if (match := re.search(pattern, answer)) is None:
            raise WrongAnswerError("a login was answered without what it should give")
        found.append(match[1])
    return found


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer on SQLite; what the pattern finds in a login's answer is sent with a request then."""

    name: str
    serve: Callable[..., AbstractContextManager[str]]
    sign_in: Callable[[Sequence[str], int], Asking]
    pattern: str = r'"access(?:_token)?":"([^"]+)"'
    sent: dict[str, str] = field(default_factory=BEARER.copy)


PEERS = (
    Peer("FastAPI tutorial", tutorial, partial(sign_in_by_form, "/token")),
    Peer("fastapi-users", fastapi_users, partial(sign_in_by_form, "/login")),
    Peer("simplejwt", django, partial(sign_in_by_json, "/token")),
    Peer(
        "Better Auth",
        better_auth,
        partial(sign_in_by_page, "/api/auth/sign-in/email"),
        pattern=r"(better-auth\.session_token=[^;]+)",
        sent={"Cookie": "{item}"},
    ),
)
