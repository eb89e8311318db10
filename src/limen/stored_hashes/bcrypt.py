"""bcrypt: `$2b$12$` and 53 characters, of which 22 are the salt.

The algorithm takes 72 bytes. Most systems gave it the password and let it drop the rest, so the
first 72 bytes are what their hashes are checked with. Django may give it the hexadecimal SHA-256 of
the password instead, which has 64, and so looks at all of it.
"""

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import bcrypt

from limen.stored_hashes.scheme import Written

COSTS = range(12, 17)  # below 12 a stolen hash is too cheap to guess; 17 takes eight seconds
BYTES = 72  # the algorithm has never looked further

_WRITTEN = re.compile(r"(\$2[aby]\$([0-9]{2})\$)[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_ALPHABET = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def first_bytes(password: str) -> bytes:
    return password.encode()[:BYTES]


def hexadecimal_sha256(password: str) -> bytes:
    return hashlib.sha256(password.encode()).hexdigest().encode()


@dataclass(frozen=True, slots=True)
class Bcrypt:
    """bcrypt; `given` says what of a password the algorithm is given."""

    given: Callable[[str], bytes]

    def read(self, stored: str) -> Written | None:
        found = _WRITTEN.fullmatch(stored)
        return Written(found[1], int(found[2]) in COSTS) if found else None

    def matches(self, password: str, stored: str) -> bool:
        return bcrypt.checkpw(self.given(password), stored.encode())

    def decoy(self, front: str) -> str:
        digest_part = "".join(secrets.choice(_ALPHABET) for _ in range(31))
        return front + bcrypt.gensalt().decode()[-22:] + digest_part
