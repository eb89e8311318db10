"""The command line as a process of its own, and a `limen serve` to talk to."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-W", "error", "-m", "limen")
SECONDS = 60  # longer than anything here takes on a busy machine


@dataclass(frozen=True, slots=True)
class Server:
    """A running `limen serve`, and where it says that it answers."""

    process: subprocess.Popen[str]
    data: Path
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def log(self) -> list[dict[str, Any]]:
        """What it and its workers have logged so far."""
        lines = (self.data.parent / "log").read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line[0] == "{" and line[-2:] == "}\n"]


def environment(data: Path, **settings: str) -> dict[str, str]:
    """Return this process's environment with these settings and no others."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("LIMEN_")}
    return others | {"LIMEN_DATA_DIR": str(data), "LIMEN_SIGNING_ALGORITHM": "ES256"} | settings


def run(
    data: Path, *words: str, stdin: str = "", **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*COMMAND, *words],
        input=stdin,
        env=environment(data, **settings),
        cwd=data.parent,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def until(holds: Callable[[], bool], seconds: float = SECONDS) -> float:
    """Wait until it holds; return how many seconds that took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds
        time.sleep(0.02)
    return time.monotonic() - began


@contextmanager
def serving(
    data: Path, *words: str, command: tuple[str, ...] = COMMAND, **settings: str
) -> Iterator[Server]:
    """Run `limen serve` on a free port, its log beside its data, for the length of the block.

    `words` come last on its command line, such as `"--workers", "4"`.
    """
    with (
        (data.parent / "log").open("w") as log,
        subprocess.Popen(
            [*command, "serve", "--port", "0", "--json", *words],
            env=environment(data, **settings),
            cwd=data.parent,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            said = "".join(takewhile(lambda line: line != "}\n", process.stdout))
            assert said, (data.parent / "log").read_text()  # it has ended without a banner
            yield Server(process, data, json.loads(said + "}")["url"])
        finally:
            process.kill()
