"""The URL of a database: which kind it is of, and how it may be shown."""

import re
from pathlib import Path

_USER = re.compile(r"(?<=//)[^/@?]*@")
_PASSWORD = re.compile(r"(?<=//)([^:/@?]*):[^@/]*@")
_PASSWORD_OPTION = re.compile(r"([?&](?:ssl)?password=)[^&]*")


def sqlite_path(url: str) -> Path | None:
    """Return the file of a SQLite URL, or None for a URL of PostgreSQL."""
    scheme, _, path = url.partition(":///")
    return Path(path) if scheme == "sqlite" else None


def place(url: str) -> str:
    """Return where a URL of PostgreSQL leads: the hosts and the name, without user and options."""
    return _USER.sub("", url.partition("?")[0])


def without_password(url: str) -> str:
    """Return the URL as it may be shown and logged."""
    return _PASSWORD_OPTION.sub(r"\1***", _PASSWORD.sub(r"\1:***@", url))
