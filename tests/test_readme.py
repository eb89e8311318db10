"""The README's console lines, typed as written; `…` in an expected answer stands for anything."""

import os
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.postgresql import Databases

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def lines(heading: str) -> list[tuple[str, str]]:
    """Return the console lines below a heading, each with the answer that it is to get."""
    _, _, section = README.partition(f"\n## {heading}\n")
    section = section.partition("\n## ")[0]
    typed = "\n".join(re.findall(r"^```console\n(.*?)^```", section, re.MULTILINE | re.DOTALL))
    return re.findall(r"^\$ (.+)\n((?:(?!\$ )(?=.).*\n)*)", typed, re.MULTILINE)


@contextmanager
def serving(folder: Path, *words: str, **settings: str) -> Iterator[int]:
    """A limen started as the README says, but for its port, in this folder."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    program = [sys.executable, "-m", "limen", "serve", *words, "--port", str(port)]
    with (folder / f"log {port}").open("wb") as log:
        server = subprocess.Popen(program, cwd=folder, stderr=log, env=_environment(**settings))
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
    ran = subprocess.run(
        ["bash", "-e", "-u", "-o", "pipefail", "-c", typed],
        cwd=folder,
        env=_environment(),
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


def test_every_line_of_the_start_answers_as_written(tmp_path: Path) -> None:
    script = lines("Start")

    assert len(script) == 7
    with serving(tmp_path) as port:
        type_in(script, tmp_path, {"8000": port})


def test_every_line_of_the_many_machines_answers_as_written(
    tmp_path: Path, postgresql: Databases
) -> None:
    """Two processes with two workers each, which share PostgreSQL and nothing else."""
    script = lines("More than one machine")
    (helper,) = [line for line in lines("Start") if line[0].startswith("token()")]
    (account,) = [line for line in lines("Start") if "/register" in line[0]]

    assert len(script) == 4
    with postgresql.migrated() as url, ExitStack() as stack:
        settings = {"LIMEN_DATABASE_URL": url, "LIMEN_SECRET": secrets.token_hex(32)}
        one, other = [
            stack.enter_context(serving(tmp_path, "--workers", "2", **settings)) for _ in range(2)
        ]
        type_in([account, helper, *script], tmp_path, {"8000": one, "8001": one, "8002": other})


def test_the_readmes_application_starts(tmp_path: Path) -> None:
    _, _, section = README.partition("\n## In your FastAPI application\n")
    (block,) = re.findall(
        r"^```python\n(.*?)^```", section.partition("\n## ")[0], re.MULTILINE | re.DOTALL
    )
    use = (
        "from fastapi.testclient import TestClient\n"
        "with TestClient(app) as http: print(http.get('/orders').status_code)"
    )
    (tmp_path / "application.py").write_text(f"{block}\n{use}\n")
    ran = subprocess.run(
        [sys.executable, "application.py"],
        cwd=tmp_path,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.stdout.strip(), ran.returncode) == ("401", 0), ran.stderr


def _environment(**settings: str) -> dict[str, str]:
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
            httpx2.get(f"http://127.0.0.1:{port}/healthz", trust_env=False, timeout=20)
        except httpx2.ConnectError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("limen did not start")
