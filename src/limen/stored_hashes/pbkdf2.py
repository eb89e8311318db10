"""PBKDF2 with SHA-256, as Django writes it: `pbkdf2_sha256$1000000$salt$hash`.

It costs no memory, so who has stolen a hash guesses cheaply on graphics cards, and OWASP asks for
600,000 iterations today. Django has asked for ever more with each release, and renews a hash when
its owner signs in: those of people who were away are as they were made.
"""

import hashlib
import hmac
import re
import secrets

from limen.stored_hashes.scheme import Written
from limen.stored_hashes.spelling import bytes_of, salt_text, text_of

# From Django 2.2 (2019) on. The most takes about three seconds; Django 6.0 writes 1,200,000.
ITERATIONS = range(150_000, 5_000_001)

HASH_BYTES = 32

_WRITTEN = re.compile(
    r"(pbkdf2_sha256\$([1-9][0-9]{0,9})\$)"
    r"([!-#%-~]{8,64})\$([A-Za-z0-9+/]{43}=)"  # visible ASCII without $, and 32 bytes
)


class PBKDF2:
    """PBKDF2-HMAC-SHA256, of the password's bytes as they were typed."""

    def read(self, stored: str) -> Written | None:
        found = _WRITTEN.fullmatch(stored)
        if not found or bytes_of(found[4], padded=True) is None:
            return None
        return Written(found[1], int(found[2]) in ITERATIONS)

    def matches(self, password: str, stored: str) -> bool:
        _, iterations, salt, digest = stored.split("$")
        made = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), int(iterations))
        return hmac.compare_digest(text_of(made, padded=True), digest)

    def decoy(self, front: str) -> str:
        return f"{front}{salt_text()}${text_of(secrets.token_bytes(HASH_BYTES), padded=True)}"
