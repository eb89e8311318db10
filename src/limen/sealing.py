"""Sealed: what the database keeps for limen alone, unreadable without the root secret.

AES-256-GCM under a key for one purpose (`limen.secret`), with a name as associated data, so that
what was sealed for one row cannot be moved to another. After a rotation of the root secret, what an
older one has sealed can still be opened.
"""

import secrets
from collections.abc import Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12


class Opened(NamedTuple):
    """What was sealed, and whether an older secret than the newest had sealed it."""

    content: bytes
    is_stale: bool


class Seal:
    """Seals with the first of the keys, and opens with any of them."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = [AESGCM(key) for key in keys]

    def seal(self, content: bytes, name: str) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, content, name.encode())

    def open(self, sealed: bytes, name: str) -> Opened | None:
        """Return what was sealed under this name, or None: it was not, or under another secret."""
        nonce, content = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        for age, cipher in enumerate(self._ciphers):
            try:
                return Opened(cipher.decrypt(nonce, content, name.encode()), age > 0)
            except (InvalidTag, ValueError):  # another key, or too short to be sealed
                continue
        return None
