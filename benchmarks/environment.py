"""The peers' environment: made once, from the package registry, beside ours and not in it.

Packages are the newest that the registry has; the parity sheet has the versions that were found.
What cannot be installed is said in the result, and measured without.
"""

import json
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PYTHON_HOME = Path(__file__).with_name(".peers")

PYTHON_PACKAGES = (
    "fastapi",
    "fastapi-users[sqlalchemy]",
    "aiosqlite",
    "django",
    "djangorestframework",
    "djangorestframework-simplejwt",
    "argon2-cffi",
    "psycopg[binary]",
    "pwdlib[argon2]",
    "pyjwt[crypto]",
    "python-multipart",
    "gunicorn",
    "granian",
    "uvicorn",
    "httptools",
    "uvloop",
)
PYTHON_SHOWN = (
    *("fastapi", "fastapi-users", "django", "djangorestframework-simplejwt", "pyjwt"),
    *("gunicorn", "granian", "uvicorn"),
)


@dataclass(frozen=True, slots=True)
class Environment:
    """The interpreter of an environment, or why there is none."""

    interpreter: str = ""
    missing: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def required(self) -> str:
        """Return the interpreter.

        Raises:
            RuntimeError: There is none.
        """
        if not self.interpreter:
            raise RuntimeError(self.missing)
        return self.interpreter

    def __str__(self) -> str:
        shown = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return shown or f"none: {self.missing}"


@dataclass(frozen=True, slots=True)
class Peers:
    """The environments that there are."""

    python: Environment

    @classmethod
    def install(cls) -> "Peers":
        """Install them, if that was not done before."""
        return cls(python_environment())


def python_environment(home: Path = PYTHON_HOME) -> Environment:
    """Make Python's."""
    python = home / "bin" / "python"

    def install() -> subprocess.CompletedProcess[str]:
        venv.create(home, clear=True, with_pip=True)
        quiet = ("--quiet", "--disable-pip-version-check")
        return _run(python, "-m", "pip", "install", *quiet, *PYTHON_PACKAGES)

    if failed := _installed(home, PYTHON_PACKAGES, install):
        return Environment(missing=failed[-1])
    listing = ("list", "--format", "json", "--disable-pip-version-check")
    listed = json.loads(_run(python, "-m", "pip", *listing).stdout)
    found = {one["name"].lower().replace("_", "-"): one["version"] for one in listed}
    versions = {name: found[name] for name in PYTHON_SHOWN} | {"python": sys.version.split()[0]}
    return Environment(str(python), versions=versions)


def _installed(
    home: Path, wanted: Sequence[str], install: Callable[[], subprocess.CompletedProcess[str]]
) -> list[str]:
    """Install what is wanted, if that was not done before; return what was said if it failed."""
    ready, all_ = home / ".ready", "\n".join(wanted)
    if ready.exists() and ready.read_text("utf-8") == all_:
        return []
    ran = install()
    if ran.returncode != 0:
        return ran.stderr.strip().splitlines() or [f"it ended with {ran.returncode}"]
    ready.write_text(all_, "utf-8")
    return []


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)
