"""Load in a closed loop: so many connections, each asks again as soon as it is answered.

It comes from wrk, which leaves the machine to the server, or where wrk is missing from our own
client, which does not: the parity sheet says which. Every answer is checked: its status, and a
piece of text that only a right answer has. A wrong one ends the workload.
"""

import asyncio
import itertools
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.client import Answer, Client, percentile, request
from benchmarks.figures import WrongAnswerError
from benchmarks.noise import CORES

SCRIPT = Path(__file__).with_name("wrk.lua")
TOLERATED = 0.001  # of all answers: those that a disturbed machine times out

Mode = Literal["same", "each", "chain"]

_RESULT = re.compile(r"^RESULT (\d+) (\d+) (\d+) (\d+) (\S+) (\S+)\nSAMPLE (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Asking:
    """What is asked for, over so many connections; see wrk.lua for the modes and placeholders."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    items: Sequence[str] = ("",)
    mode: Mode = "same"
    connections: int = 16
    status: int = 200
    text: str = ""
    pattern: str = '"refresh_token":"([^"]+)"'


@dataclass(frozen=True, slots=True)
class Served:
    """What came of it: right answers a second, and latencies in seconds."""

    rate: float
    p50: float
    p99: float
    answers: int


def wrk() -> str | None:
    return shutil.which("wrk")


def ask(url: str, asking: Asking, seconds: float) -> Served:
    """Ask for so long.

    Raises:
        WrongAnswerError: Some answers were not what they should be.
    """
    return _by_wrk(url, asking, seconds) if wrk() else _by_ourselves(url, asking, seconds)


def _by_wrk(url: str, asking: Asking, seconds: float) -> Served:
    threads = asking.connections if asking.mode == "chain" else min(CORES, asking.connections)
    with tempfile.TemporaryDirectory() as folder:
        request_file, items_file = Path(folder, "request"), Path(folder, "items")
        head = [f"{name}: {value}" for name, value in asking.headers.items()]
        body = [] if asking.body is None else ["", asking.body]
        request_file.write_text("\n".join([asking.method, asking.path, *head, *body]) + "\n")
        items_file.write_text("\n".join(asking.items) + "\n")
        files = [str(request_file), str(items_file)]
        expected = [str(asking.status), asking.text, asking.pattern]
        shape = [f"-t{threads}", f"-c{asking.connections}", f"-d{max(1, round(seconds))}s"]
        command = ["wrk", *shape, "--timeout", "30s", "-s", str(SCRIPT), url, "--"]
        output = subprocess.run(
            [*command, *files, asking.mode, str(threads), *expected],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    found = _RESULT.search(output)
    if found is None:
        raise WrongAnswerError(output[-300:])
    good, bad, broken, microseconds = map(int, found.groups()[:4])
    _require(good, bad + broken, found[7])
    return Served(good / microseconds * 1e6, float(found[5]) / 1e6, float(found[6]) / 1e6, good)


def _by_ourselves(url: str, asking: Asking, seconds: float) -> Served:
    counter = itertools.count()
    taken = list(asking.items)[: asking.connections]

    def next_request(place: int, last: bytes) -> bytes:
        number = next(counter)
        if asking.mode == "each":
            item = asking.items[number % len(asking.items)]
        elif asking.mode == "chain":
            if found := re.search(asking.pattern.encode(), last):
                taken[place] = found[1].decode()
            item = taken[place]
        else:
            item = asking.items[0]
        shown = ".".join(str(number // 250**power % 250) for power in (2, 1, 0))
        headers = {
            name: value.replace("{item}", item).replace("{number}", shown)
            for name, value in asking.headers.items()
        }
        body = None if asking.body is None else asking.body.replace("{item}", item)
        return request(asking.method, asking.path, headers, body)

    async def run() -> list[Answer]:
        async with Client(url).open() as client:
            return await client.closed(next_request, asking.connections, seconds)

    answers = asyncio.run(run())
    good = [
        one for one in answers if one.status == asking.status and asking.text.encode() in one.body
    ]
    wrong = (
        next((one for one in answers if one not in good), None)
        if len(good) < len(answers)
        else None
    )
    _require(len(good), len(answers) - len(good), f"{wrong.status} {wrong.body!r}" if wrong else "")
    latencies = [one.latency for one in good]
    return Served(
        len(good) / seconds, percentile(latencies, 0.5), percentile(latencies, 0.99), len(good)
    )


def _require(good: int, wrong: int, sample: str) -> None:
    if wrong > TOLERATED * (good + wrong):
        raise WrongAnswerError(f"{wrong} of {good + wrong} answers were wrong: {sample[:200]}")
