"""The peers' environment: made once, from the package registry, beside ours and not in it.

What cannot be installed is said in the result, and measured without.
"""

import json
import subprocess
import sys
import venv
from dataclasses import dataclass, field
from pathlib import Path

HOME = Path(__file__).with_name(".peers")

# What the peers' applications import; the newest that the registry has. The parity sheet has the
# versions that were found.
PACKAGES = (
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
SHOWN = (
    *("fastapi", "fastapi-users", "django", "djangorestframework-simplejwt", "pyjwt"),
    *("gunicorn", "granian", "uvicorn"),
)


@dataclass(frozen=True, slots=True)
class Peers:
    """The interpreter of the peers' environment, or why there is none."""

    python: str | None
    missing: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def install(cls) -> "Peers":
        """Install them, if that was not done before."""
        python = HOME / "bin" / "python"
        ready, wanted = HOME / ".ready", "\n".join(PACKAGES)
        if not ready.exists() or ready.read_text("utf-8") != wanted:
            venv.create(HOME, clear=True, with_pip=True)
            quiet = ("--quiet", "--disable-pip-version-check")
            ran = subprocess.run(
                [python, "-m", "pip", "install", *quiet, *PACKAGES],
                capture_output=True,
                text=True,
                check=False,
            )
            if ran.returncode != 0:
                return cls(None, ran.stderr.strip().splitlines()[-1])
            ready.write_text(wanted, "utf-8")
        return cls(str(python), versions=_versions(python))


def _versions(python: Path) -> dict[str, str]:
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = {one["name"].lower().replace("_", "-"): one["version"] for one in json.loads(listed)}
    return {name: found[name] for name in SHOWN} | {"python": sys.version.split()[0]}
