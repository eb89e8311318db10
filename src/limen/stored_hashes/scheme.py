"""What every scheme of hashing can do, and a scheme under another name."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Written:
    """How a stored hash is written: its front, and whether checking it is within the bounds."""

    front: str
    is_bearable: bool


class Scheme(Protocol):
    """One way to hash passwords. What it is given begins as its hashes do."""

    def read(self, stored: str) -> Written | None:
        """Return how the hash is written, or None if that is not how this scheme writes."""

    def matches(self, password: str, stored: str) -> bool:
        """Whether the password is that of a bearable hash.

        Raises:
            Busy: There is no memory for it just now.
        """

    def decoy(self, front: str) -> str:
        """Return a hash with this front that is of no password."""


@dataclass(frozen=True, slots=True)
class Named:
    """Another scheme's hashes, with a name in front of each."""

    name: str
    scheme: Scheme

    def read(self, stored: str) -> Written | None:
        written = self.scheme.read(stored.removeprefix(self.name))
        return written and Written(self.name + written.front, written.is_bearable)

    def matches(self, password: str, stored: str) -> bool:
        return self.scheme.matches(password, stored.removeprefix(self.name))

    def decoy(self, front: str) -> str:
        return self.name + self.scheme.decoy(front.removeprefix(self.name))
