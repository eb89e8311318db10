"""scrypt (RFC 7914), as Django and as passlib write it: one algorithm, two spellings.

    scrypt$16384$salt$8$5$hash           Django: N, the salt as text, r, p, padded base64
    $scrypt$ln=14,r=8,p=5$salt$hash      PHC: the logarithm of N, r, p, the salt in base64 too

It takes 128 * N * r bytes of memory, and its time is proportional to N * r * p.
"""

import hashlib
import hmac
import re
import secrets
from typing import NamedTuple

from limen.errors import Busy
from limen.option_kinds import ARGON2_CEILING
from limen.stored_hashes.scheme import Written
from limen.stored_hashes.spelling import bytes_of, salt_text, text_of

# The least is what Django wrote before 5.1 (N=16384, r=8, p=1); the most takes three seconds.
WORK = range(2**17, 2**22 + 1)  # N * r * p
MEMORY_KIB = range(8 * 1024, ARGON2_CEILING.memory_kib + 1)

DJANGO_BYTES = 64
PHC_BYTES, PHC_SALT_BYTES = 32, 16

_NUMBER = "([1-9][0-9]{0,9})"
_DJANGO = re.compile(
    rf"scrypt\${_NUMBER}\$([!-#%-~]{{8,64}})\${_NUMBER}\${_NUMBER}\$([A-Za-z0-9+/]{{86}}==)"
)
_PHC = re.compile(
    r"(\$scrypt\$ln=([1-9][0-9]?),r=([1-9][0-9]{0,9}),p=([1-9][0-9]{0,9})\$)"
    r"([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{43})",  # 8 to 64 bytes, 32 bytes
)
_SLACK = 2**20  # bytes that OpenSSL may want beside the ones that it counts


class _Cost(NamedTuple):
    n: int
    r: int
    p: int

    @property
    def is_bearable(self) -> bool:
        return (
            self.n & (self.n - 1) == 0
            and self.n * self.r * self.p in WORK
            and self.n * self.r // 8 in MEMORY_KIB
        )


class DjangoScrypt:
    """scrypt in Django's spelling. The front is what is left when the salt is taken out."""

    def read(self, stored: str) -> Written | None:
        found = _DJANGO.fullmatch(stored)
        if not found or bytes_of(found[5], padded=True) is None:
            return None
        n, r, p = int(found[1]), int(found[3]), int(found[4])
        return Written(f"scrypt${n}${r}${p}$", _Cost(n, r, p).is_bearable)

    def matches(self, password: str, stored: str) -> bool:
        _, n, salt, r, p, digest = stored.split("$")
        made = _scrypt(password, salt.encode(), _Cost(int(n), int(r), int(p)), DJANGO_BYTES)
        return hmac.compare_digest(text_of(made, padded=True), digest)

    def decoy(self, front: str) -> str:
        _, n, r, p, _ = front.split("$")
        digest = text_of(secrets.token_bytes(DJANGO_BYTES), padded=True)
        return f"scrypt${n}${salt_text()}${r}${p}${digest}"


class PHCScrypt:
    """scrypt as a PHC string."""

    def read(self, stored: str) -> Written | None:
        found = _PHC.fullmatch(stored)
        if not found or bytes_of(found[5]) is None or bytes_of(found[6]) is None:
            return None
        return Written(found[1], _phc_cost(found).is_bearable)

    def matches(self, password: str, stored: str) -> bool:
        found = _PHC.fullmatch(stored)
        salt = bytes_of(found[5]) if found else None
        if found is None or salt is None:
            return False
        made = _scrypt(password, salt, _phc_cost(found), PHC_BYTES)
        return hmac.compare_digest(text_of(made), found[6])

    def decoy(self, front: str) -> str:
        salt, digest = secrets.token_bytes(PHC_SALT_BYTES), secrets.token_bytes(PHC_BYTES)
        return f"{front}{text_of(salt)}${text_of(digest)}"


def _phc_cost(found: re.Match[str]) -> _Cost:
    return _Cost(2 ** int(found[2]), int(found[3]), int(found[4]))


def _scrypt(password: str, salt: bytes, cost: _Cost, size: int) -> bytes:
    memory = 128 * cost.r * (cost.n + cost.p + 2) + _SLACK
    try:
        return hashlib.scrypt(
            password.encode(),
            salt=salt,
            n=cost.n,
            r=cost.r,
            p=cost.p,
            maxmem=memory,
            dklen=size,
        )
    except (MemoryError, ValueError):  # which is what OpenSSL's want of memory becomes
        raise Busy(retry_after=1) from None
