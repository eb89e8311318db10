"""The command line as a process of its own, and a `limen serve` to talk to."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

COMMAND = (sys.executable, "-W", "error", "-m", "limen")
SECONDS = 20  # longer than anything here takes on a busy machine


@dataclass(frozen=True, slots=True)
class Server:
    """A running `limen serve`, and where it says that it answers."""

    process: subprocess.Popen[str]
    data: Path
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


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


@contextmanager
def serving(data: Path, *, command: tuple[str, ...] = COMMAND, **settings: str) -> Iterator[Server]:
    """Run `limen serve` on a free port, its log beside its data, for the length of the block."""
    with (
        (data.parent / "log").open("w") as log,
        subprocess.Popen(
            [*command, "serve", "--port", "0", "--json"],
            env=environment(data, **settings),
            cwd=data.parent,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            said = "".join(iter(process.stdout.readline, "}\n"))
            yield Server(process, data, json.loads(said + "}")["url"])
        finally:
            process.kill()
