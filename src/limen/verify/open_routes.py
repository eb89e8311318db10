"""The routes that a guard leaves open: all others are closed.

    "/healthz"      this path exactly, with any method
    "GET /docs"     this path exactly, with GET or HEAD
    "/static/*"     everything below /static/, but only while the path is plain

Forgetting an entry closes a route; nothing opens one by accident.

Servers, proxies and file systems disagree about `//`, `..`, `;`, backslashes, control characters
and percent signs left after decoding. A path that holds one is not plain and opens no tree,
whatever it would resolve to.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

_ENTRY = re.compile(r"(?:(?P<method>[A-Z]+) )?(?P<path>/[^\s?#{}*]*?)(?P<tree>/\*)?")
_PLAIN_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[^/\\%;\x00-\x1f\x7f]+)*/?")


class OpenRoutes:
    """The entries of an `open` list.

    Raises:
        ValueError: An entry is of none of the three forms, or would open everything.
        TypeError: It is one string, not a collection of them.
    """

    def __init__(self, entries: Collection[str]) -> None:
        if isinstance(entries, str):
            raise TypeError("open: give a list of paths, not one string")
        routes = [_OpenRoute.parse(entry) for entry in entries]
        self._trees = [route for route in routes if route.is_tree]
        self._paths: dict[str, list[_OpenRoute]] = {}
        for route in routes:
            if not route.is_tree:
                self._paths.setdefault(route.path, []).append(route)

    def cover(self, method: str | None, path: str) -> bool:
        """Return whether the path is open to the method, which is None for a WebSocket."""
        named = self._paths.get(path, ())
        return any(route.covers(method, path) for route in (*named, *self._trees))


@dataclass(frozen=True, slots=True)
class _OpenRoute:
    methods: frozenset[str] | None
    path: str
    is_tree: bool

    @classmethod
    def parse(cls, entry: str) -> Self:
        match = _ENTRY.fullmatch(entry)
        if match is None or not _PLAIN_PATH.fullmatch(match["path"] + (match["tree"] or "")):
            raise ValueError(f"open: {entry!r} is not '/path', 'GET /path' or '/tree/*'")
        method = match["method"]
        methods = {method, "HEAD"} if method == "GET" else {method}
        return cls(frozenset(methods) if method else None, match["path"], bool(match["tree"]))

    def covers(self, method: str | None, path: str) -> bool:
        if self.methods is not None and method not in self.methods:
            return False
        if self.is_tree:
            return path.startswith(f"{self.path}/") and _PLAIN_PATH.fullmatch(path) is not None
        return path == self.path
