"""Stored password hashes: reading them, computing them, checking a password against one.

The front of a stored hash says how it was made, and so what it costs to check:

    $argon2id$v=19$m=19456,t=2,p=1$    ours, or imported with other parameters (PHC string)
    $2b$12$                            bcrypt, imported; $2a$ and $2y$ are the same algorithm

A hash is read strictly, and only within the bounds below: a hostile one that asks for 4 GiB is
refused, not computed, and so is a bcrypt cost that is too cheap to trust. Whatever cannot be read
has no front, matches no password, and is never an error.

Argon2 hashes the password after Unicode normalisation (NFKC, NIST SP 800-63B), because a phone
and a laptop send the same typed character in different forms. bcrypt hashes were made elsewhere,
from the bytes as they came and from the first 72 of them only, so that is how they are checked.

A decoy is a well-formed hash of no password: random bytes stand where the hash would. It costs
nothing to make, and to check exactly what a real one with that front costs.
"""

import base64
import binascii
import re
import secrets
import unicodedata

import bcrypt
from argon2.exceptions import HashingError, VerificationError, VerifyMismatchError
from argon2.low_level import Type, hash_secret, verify_secret

from limen.errors import Busy
from limen.option_kinds import ARGON2_CEILING, Argon2Cost

BCRYPT_COSTS = range(12, 17)  # below 12 a stolen hash is too cheap to guess; 17 takes eight seconds
BCRYPT_BYTES = 72  # the algorithm has never looked further

SALT_BYTES = 16  # RFC 9106, section 4
HASH_BYTES = 32

_TYPES = {"id": Type.ID, "i": Type.I}
_ARGON2 = re.compile(
    r"(\$argon2(id|i)\$v=19\$m=([1-9][0-9]{0,9}),t=([1-9][0-9]{0,4}),p=([1-9][0-9]{0,4})\$)"
    r"([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})",  # 8 to 64 bytes, 16 to 64 bytes
)
_BCRYPT = re.compile(r"(\$2[aby]\$([0-9]{2})\$)[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_BCRYPT_ALPHABET = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def argon2_front(cost: Argon2Cost) -> str:
    """Return the front of the hashes that `argon2_hash` makes with this cost."""
    return f"$argon2id$v=19$m={cost.memory_kib},t={cost.passes},p={cost.lanes}$"


def argon2_hash(password: str, cost: Argon2Cost) -> str:
    """Return a new Argon2id hash of the password, as a PHC string. Blocks for its whole cost.

    Raises:
        Busy: There is no memory for it just now.
    """
    salt = secrets.token_bytes(SALT_BYTES)
    try:
        return hash_secret(
            _normalised(password),
            salt,
            time_cost=cost.passes,
            memory_cost=cost.memory_kib,
            parallelism=cost.lanes,
            hash_len=HASH_BYTES,
            type=Type.ID,
        ).decode()
    except HashingError:
        raise Busy(retry_after=1) from None


def front_of(stored: str) -> str | None:
    """Return the front of a hash that can be checked, or None: malformed, or out of bounds."""
    if argon2 := _ARGON2.fullmatch(stored):
        front, _, memory, passes, lanes, salt, digest = argon2.groups()
        cost = Argon2Cost(int(memory), int(passes), int(lanes))
        return front if _is_bearable(cost) and _is_base64(salt) and _is_base64(digest) else None
    if found := _BCRYPT.fullmatch(stored):
        front, cost_digits = found.groups()
        return front if int(cost_digits) in BCRYPT_COSTS else None
    return None


def matches(password: str, stored: str) -> bool:
    """Whether the password is the one of a stored hash that has a front. Blocks for its cost.

    Raises:
        Busy: There is no memory for it just now, which must not pass for a wrong password.
    """
    if argon2 := _ARGON2.fullmatch(stored):
        try:
            return verify_secret(stored.encode(), _normalised(password), _TYPES[argon2[2]])
        except VerifyMismatchError:
            return False
        except VerificationError:
            raise Busy(retry_after=1) from None
    return bcrypt.checkpw(password.encode()[:BCRYPT_BYTES], stored.encode())


def decoy(front: str) -> str:
    """Return a well-formed hash with this front that is of no password."""
    if front.startswith("$argon2"):
        salt, digest = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(HASH_BYTES)
        return f"{front}{_base64(salt)}${_base64(digest)}"
    digest_part = "".join(secrets.choice(_BCRYPT_ALPHABET) for _ in range(31))
    return front + bcrypt.gensalt().decode()[-22:] + digest_part


def _normalised(password: str) -> bytes:
    return unicodedata.normalize("NFKC", password).encode()


def _is_bearable(cost: Argon2Cost) -> bool:
    return (
        8 * cost.lanes <= cost.memory_kib <= ARGON2_CEILING.memory_kib  # RFC 9106, section 3.1
        and cost.passes <= ARGON2_CEILING.passes
        and cost.lanes <= ARGON2_CEILING.lanes
    )


def _is_base64(text: str) -> bool:
    try:
        return _base64(base64.b64decode(text + "=" * (-len(text) % 4), validate=True)) == text
    except binascii.Error:
        return False


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode().rstrip("=")
