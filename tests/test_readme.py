"""The README's console lines, typed as written."""

import re
import secrets
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.postgresql import Databases
from tests.typed import ROOT, environment, lines, section, serving, type_in

README = ROOT / "README.md"


def test_every_line_of_the_start_answers_as_written(tmp_path: Path) -> None:
    script = lines(section(README, "Start"))

    assert len(script) == 7
    with serving(tmp_path) as port:
        type_in(script, tmp_path, {"8000": port})


def test_every_line_of_the_many_machines_answers_as_written(
    tmp_path: Path, postgresql: Databases
) -> None:
    """Two processes with two workers each, which share PostgreSQL and nothing else."""
    script = lines(section(README, "More than one machine"))
    (helper,) = [line for line in lines(section(README, "Start")) if line[0].startswith("token()")]
    (account,) = [line for line in lines(section(README, "Start")) if "/register" in line[0]]

    assert len(script) == 4
    with postgresql.migrated() as url, ExitStack() as stack:
        settings = {"LIMEN_DATABASE_URL": url, "LIMEN_SECRET": secrets.token_hex(32)}
        one, other = [
            stack.enter_context(serving(tmp_path, "--workers", "2", **settings)) for _ in range(2)
        ]
        type_in([account, helper, *script], tmp_path, {"8000": one, "8001": one, "8002": other})


def test_the_readmes_application_starts(tmp_path: Path) -> None:
    text = section(README, "In your FastAPI application")
    (block,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    use = (
        "from fastapi.testclient import TestClient\n"
        "with TestClient(app) as http: print(http.get('/orders').status_code)"
    )
    (tmp_path / "application.py").write_text(f"{block}\n{use}\n")
    ran = subprocess.run(
        [sys.executable, "application.py"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.stdout.strip(), ran.returncode) == ("401", 0), ran.stderr
