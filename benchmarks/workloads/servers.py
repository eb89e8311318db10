"""The server alone, in front of an application that does nothing: uvicorn and granian.

This is what docs/decisions/0040-server.md rests on. All of them are in the peers' environment.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.asking import guarded
from benchmarks.bench import Bench, Result
from benchmarks.figures import Finding, interleaved, ratio
from benchmarks.load import ask
from benchmarks.peers_running import noted
from benchmarks.processes import (
    CLIENTS,
    ROOT,
    SERVERS,
    application,
    free_port,
    on,
    program,
)

OURS = "uvicorn, h11"
TOKEN = "x" * 700  # as long as an access token: the header has to be read all the same


def run(bench: Bench) -> Result:
    python, urls, notes = bench.peers.python.required, dict[str, str](), list[str]()
    servings = {
        OURS: _uvicorn(python, "h11"),
        "uvicorn, httptools and uvloop": _uvicorn(python, "httptools"),
        "granian": _granian(python),
    }
    asking = guarded("/orders", [TOKEN], text='{"orders')
    with ExitStack() as stack:
        for name, serving in servings.items():
            with noted(name, notes):
                urls[name] = stack.enter_context(serving)
        arms = {
            name: lambda seconds, url=url: ask(url, asking, seconds).rate
            for name, url in urls.items()
        }
        with on(CLIENTS):
            rates = interleaved(bench.pace, bench.noise, arms)
    result = Result.of(rates, "requests/s")
    result.notes += notes
    result.findings = [
        Finding(
            f"requests a second, {name}, no application", ratio(rates, name, OURS), "×", None, OURS
        )
        for name in arms
        if name != OURS
    ]
    return result


@contextmanager
def _uvicorn(python: str, http: str) -> Iterator[str]:
    serving = application("peers.nothing:app", {}, http, cores=SERVERS, python=python)
    with serving as running:
        yield running.url


@contextmanager
def _granian(python: str) -> Iterator[str]:
    port = free_port()
    where = ["--host", "127.0.0.1", "--port", str(port), "--no-access-log", "--log-level", "error"]
    shape = ["--interface", "asgi", "--workers", "1", "benchmarks.peers.nothing:app"]
    command = [python, "-m", "granian", *where, *shape]
    with program(command, port, {}, folder=ROOT, cores=SERVERS) as running:
        yield running.url
