"""The peers' applications, running."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from benchmarks.asking import FORM, JSON
from benchmarks.bench import Bench
from benchmarks.client import Client, request
from benchmarks.figures import WrongAnswerError
from benchmarks.noise import ALL
from benchmarks.population import PASSWORD
from benchmarks.processes import application, free_port, program

APPLICATIONS = Path(__file__).with_name("peers")
DJANGO_THREADS = 16


def entered(
    stack: ExitStack, peer: str, serving: AbstractContextManager[str], notes: list[str]
) -> str | None:
    """Start a peer and return its URL; one that does not start is noted, and measured without."""
    try:
        return stack.enter_context(serving)
    except (OSError, RuntimeError) as error:
        notes.append(f"{peer} was not measured: {error}")
        return None


@contextmanager
def tutorial(bench: Bench, *, hashing: str = "equal", cores: frozenset[int] = ALL) -> Iterator[str]:
    """Serve the shape of FastAPI's tutorial."""
    python = bench.peers.python or ""
    given = {"PEER_HASH": hashing}
    with application("peers.tutorial:app", given, cores=cores, python=python) as running:
        yield running.url


@contextmanager
def fastapi_users(
    bench: Bench, *, hashing: str = "equal", cores: frozenset[int] = ALL
) -> Iterator[str]:
    """Serve fastapi-users on SQLite."""
    python, file = bench.peers.python or "", bench.data().parent / "peer.db"
    given = {"PEER_HASH": hashing, "PEER_DATABASE": f"sqlite+aiosqlite:///{file}"}
    with application("peers.fastapi_users_app:app", given, cores=cores, python=python) as running:
        yield running.url


@contextmanager
def django(
    bench: Bench, database: str, *, hashing: str = "equal", cores: frozenset[int] = ALL
) -> Iterator[str]:
    """Serve Django REST framework with simplejwt, by gunicorn in one process."""
    python, port = bench.peers.python or "", free_port()
    if database == "sqlite":
        database = f"sqlite://{bench.data().parent / 'peer.db'}"
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


def tokens_of(peer: str, url: str, *, people: int) -> dict[str, list[str]]:
    """Sign so many people in at a peer; return their "access" and "refresh" tokens."""
    return asyncio.run(_tokens_of(peer, url, people))


async def _tokens_of(peer: str, url: str, people: int) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"access": [], "refresh": []}
    async with Client(url).open() as client:
        for number in range(people):
            answer = await client.ask(_sign_in(peer, f"person{number}@example.com"))
            if answer.status != 200:  # noqa: PLR2004
                raise WrongAnswerError(f"{peer} answered {answer.status} to a login")
            body = json.loads(answer.body)
            found["access"].append(body.get("access") or body["access_token"])
            found["refresh"].append(body.get("refresh", ""))
    return found


def _sign_in(peer: str, email: str) -> bytes:
    if peer == "simplejwt":
        return request(
            "POST", "/token", JSON, json.dumps({"username": email, "password": PASSWORD})
        )
    path = "/token" if peer == "FastAPI tutorial" else "/login"
    form = f"username={email}&password={PASSWORD.replace(' ', '+')}"
    return request("POST", path, FORM, form)
