"""`pip install limen` alone is light: what a service that only checks tokens needs, and no more.

The base is installed into an empty environment, from the package index that pip is configured for
and with the hashes of requirements.lock, and verifies a token there.
"""

import json
import re
import subprocess
import sys
import venv
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.tokens import AUDIENCE
from tests.verify.elsewhere import elsewhere

ROOT = Path(__file__).parents[1]
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")

PROGRAM = """
import json, sys, time
from importlib.metadata import distributions
began = time.perf_counter()
from limen.verify.verifier import Verifier
took = time.perf_counter() - began
issuer, audience, token = json.load(sys.stdin)
claims = Verifier(issuer, audience).verify_blocking(token)
names = sorted(each.name for each in distributions())
json.dump({"user_id": claims.user_id, "names": names, "took": took,
           "modules": sorted({name.partition(".")[0] for name in sys.modules})}, sys.stdout)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with limen's base alone."""
    folder = tmp_path_factory.mktemp("light")
    venv.create(folder / "venv", with_pip=False)
    typed(*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT))
    (wheel,) = folder.glob("limen-*.whl")
    (folder / "base.txt").write_text("\n".join(locked(name) for name in needed("limen")))
    into = (*PIP, "--python", str(folder / "venv/bin/python"))
    typed(*into, "install", "--require-hashes", "--requirement", str(folder / "base.txt"))
    typed(*into, "install", "--no-deps", "--no-index", str(wheel))
    typed(*into, "check")
    return folder / "venv"


def needed(name: str) -> set[str]:
    """Return what a package needs here, and what that needs, without any extra."""
    needs = [Requirement(text) for text in requires(name) or []]
    here = {it.name for it in needs if it.marker is None or it.marker.evaluate({"extra": ""})}
    return here.union(*map(needed, here))


def locked(name: str) -> str:
    """Return the lines of a package in the lock, with their hashes."""
    lock = (ROOT / "requirements.lock").read_text()
    match = re.search(rf"^{name}==[^\n]*\\\n(?:    --hash=\S+(?: \\)?\n)+", lock, re.MULTILINE)
    assert match is not None, name
    return match[0]


def typed(*words: str, stdin: str = "") -> str:
    ran = subprocess.run(
        words, input=stdin, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_base_alone_verifies_a_token(environment: Path) -> None:
    with elsewhere() as issuer:
        given = json.dumps([issuer.url, AUDIENCE, issuer.token()])
        told = json.loads(
            typed(str(environment / "bin/python"), "-I", "-W", "error", "-c", PROGRAM, stdin=given)
        )

    files = [file for file in environment.glob("lib/*/site-packages/**/*") if file.is_file()]
    size = sum(file.stat().st_size for file in files if file.suffix != ".pyc") / 1e6
    print(f"packages: {', '.join(told['names'])}; {size:.0f} MB; import {told['took']:.2f} s")
    assert told["user_id"] == "u-1"
    assert set(told["names"]) == {"cffi", "cryptography", "joserfc", "limen", "pycparser"}
    assert not {"fastapi", "sqlalchemy", "argon2", "pydantic", "httpx2"} & {*told["modules"]}
