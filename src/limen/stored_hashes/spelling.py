"""Bytes as stored hashes spell them: base64, and of its spellings only the one."""

import base64
import binascii
import secrets
import string

_LETTERS = string.ascii_letters + string.digits


def text_of(raw: bytes, *, padded: bool = False) -> str:
    text = base64.b64encode(raw).decode()
    return text if padded else text.rstrip("=")


def bytes_of(text: str, *, padded: bool = False) -> bytes | None:
    """Return the bytes, or None where this is not how they are spelt."""
    try:
        raw = base64.b64decode(text if padded else text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return None
    return raw if text_of(raw, padded=padded) == text else None


def salt_text() -> str:
    """Return a random salt as Django makes them: text, which is hashed as it stands."""
    return "".join(secrets.choice(_LETTERS) for _ in range(22))
