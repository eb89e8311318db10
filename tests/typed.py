"""Pages whose console lines are typed as written; `…` in an expected answer stands for anything."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

ROOT = Path(__file__).parent.parent


def section(page: Path, heading: str) -> str:
    """Return what stands below a heading of the second level."""
    _, found, rest = page.read_text("utf-8").partition(f"\n## {heading}\n")
    assert found, f"{page.name} has no heading {heading!r}"
    return rest.partition("\n## ")[0]


def lines(text: str) -> list[tuple[str, str]]:
    """Return the console lines of a text, each with the answer that it is to get."""
    typed = "\n".join(re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    return re.findall(r"^\$ (.+)\n((?:(?!\$ )(?=.).*\n)*)", typed, re.MULTILINE)


@contextmanager
def serving(folder: Path, *words: str, **settings: str) -> Iterator[int]:
    """A limen started as the README says, but for its port, in this folder."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    program = [sys.executable, "-m", "limen", "serve", *words, "--port", str(port)]
    with (folder / f"log {port}").open("wb") as log:
        server = subprocess.Popen(program, cwd=folder, stderr=log, env=environment(**settings))
    try:
        _wait_until_healthy(port, server)
        yield port
    finally:
        server.terminate()
        assert server.wait(20) == 0


def type_in(script: list[tuple[str, str]], folder: Path, ports: dict[str, int]) -> None:
    """Type the lines and compare the answers."""
    typed = "".join(
        f"{command}\necho; echo '=== end of {n} ==='\n" for n, (command, _) in enumerate(script)
    )
    for written, port in ports.items():
        typed = typed.replace(f"localhost:{written}", f"localhost:{port}")
    time.sleep(1 - time.time() % 1)  # answers count whole seconds: they begin with one
    ran = subprocess.run(
        ["bash", "-e", "-u", "-o", "pipefail", "-c", typed],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    answers = re.split(r"\n=== end of \d+ ===\n", ran.stdout)
    for (command, expected), answer in zip(script, answers, strict=False):
        pattern = re.escape(expected.strip()).replace("…", ".*")
        assert re.fullmatch(pattern, answer.strip(), re.DOTALL), f"$ {command}\n{answer}"


def environment(**settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LIMEN_")}
    return {
        **kept,
        **settings,
        "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}",
        "no_proxy": "*",
    }


def _wait_until_healthy(port: int, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and server.poll() is None:
        try:
            httpx2.get(f"http://127.0.0.1:{port}/healthz", trust_env=False, timeout=60)
        except httpx2.ConnectError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("limen did not start")
