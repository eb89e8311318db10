"""The README's console lines, typed as written; `…` in an expected answer stands for anything."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
LINES = re.findall(r"^\$ (.+)\n((?:(?!\$ |```)(?=.).*\n)*)", README, re.MULTILINE)


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """A limen started as the README says, but for its port, in a clean folder."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    program = [sys.executable, "-m", "limen", "serve", "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(program, cwd=tmp_path, stderr=log, env=_environment())
    try:
        _wait_until_healthy(port, server)
        yield port
    finally:
        server.terminate()
        assert server.wait(20) == 0


def test_every_line_of_the_readme_answers_as_written(port: int, tmp_path: Path) -> None:
    assert len(LINES) >= 7
    script = "".join(
        f"{command}\necho; echo '=== end of {n} ==='\n" for n, (command, _) in enumerate(LINES)
    )
    script = script.replace("localhost:8000", f"localhost:{port}")
    typed = subprocess.run(
        ["bash", "-e", "-u", "-o", "pipefail", "-c", script],
        cwd=tmp_path,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert typed.returncode == 0, typed.stderr
    answers = re.split(r"\n=== end of \d+ ===\n", typed.stdout)
    for (command, expected), answer in zip(LINES, answers, strict=False):
        pattern = re.escape(expected.strip()).replace("…", ".*")
        assert re.fullmatch(pattern, answer.strip(), re.DOTALL), f"$ {command}\n{answer}"


def test_the_readmes_application_starts(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
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


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LIMEN_")}
    return {**kept, "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}", "no_proxy": "*"}


def _wait_until_healthy(port: int, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and server.poll() is None:
        try:
            httpx2.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)
        except httpx2.ConnectError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("limen did not start")
