"""A watch on everything a token could make a process reach for.

Python reports each such act to its audit hooks before it happens. A hook cannot be taken away
again, so there is one, and it looks only while a test asks it to.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_ACTS = ("open", "os.", "socket.", "subprocess.", "sqlite3.", "urllib.", "http.", "ftplib.")
_seen: list[str] | None = None


def _hook(event: str, args: tuple[object, ...]) -> None:
    if _seen is not None and event.startswith(_ACTS):
        _seen.append(f"{event} {args}")


sys.addaudithook(_hook)


@contextmanager
def watched() -> Iterator[list[str]]:
    """Give the list of files, connections and programs that are reached for meanwhile."""
    global _seen  # noqa: PLW0603  the hook outlives every test
    acts: list[str] = []
    _seen = acts
    try:
        yield acts
    finally:
        _seen = None
