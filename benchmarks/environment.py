"""The peers' environments: made once, from the package registries, beside ours and not in it.

One is Python's, made with pip, the other is node's, made with npm. Packages are the newest that
the registry has, and in npm's that the node at hand can run; the parity sheet has the versions that
were found. What cannot be installed is said in the result, and measured without.
"""

import json
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import emptied

PYTHON_HOME = Path(__file__).with_name(".peers")
NODE_HOME = Path(__file__).with_name(".peers-js")

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

NODE_PACKAGES = ("better-auth", "better-sqlite3", "@node-rs/argon2")
BUILT_HERE = ("better-sqlite3",)  # where it has no binary for this node: npm wants to be told


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
    """Both environments."""

    python: Environment
    node: Environment

    @classmethod
    def install(cls) -> "Peers":
        """Install them, if that was not done before."""
        return cls(python_environment(), node_environment())


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


def node_environment(home: Path = NODE_HOME) -> Environment:
    """Make node's; what npm builds fits one node alone, so another one begins anew."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return Environment(missing=f"{'npm' if node else 'node'} is not on this machine")
    version = _run(node, "--version").stdout.strip().removeprefix("v")

    def install() -> subprocess.CompletedProcess[str]:
        package = {"private": True, "allowScripts": dict.fromkeys(BUILT_HERE, True)}
        (emptied(home) / "package.json").write_text(json.dumps(package), "utf-8")
        quiet = ("--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error")
        newest = [f"{name}@*" for name in NODE_PACKAGES]
        return _run(npm, "install", "--engine-strict", *quiet, *newest, cwd=home)

    if failed := _installed(home, (*NODE_PACKAGES, version), install):
        said = [line.removeprefix("npm error ") for line in failed]
        return Environment(missing=f"npm: {'; '.join(said[:3])}")
    found = {name: _node_version(home, name) for name in NODE_PACKAGES}
    return Environment(node, versions=found | {"node": version})


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


def _run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def _node_version(home: Path, package: str) -> str:
    document = json.loads((home / "node_modules" / package / "package.json").read_text("utf-8"))
    return str(document["version"])
