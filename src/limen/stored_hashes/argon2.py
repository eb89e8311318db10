"""Argon2, as PHC strings: `$argon2id$v=19$m=19456,t=2,p=1$salt$hash`. What limen makes itself.

A password is hashed in its normal form. Other systems hash the bytes as they come, and their hashes
look like ours. So a password that its normal form differs from is tried in both: with any hash,
whoever made it, so that the time tells nothing but what the caller has typed himself.
"""

import re
import secrets

from argon2.exceptions import HashingError, VerificationError, VerifyMismatchError
from argon2.low_level import Type, hash_secret, verify_secret

from limen.errors import Busy
from limen.normal_form import normal
from limen.option_kinds import ARGON2_CEILING, Argon2Cost
from limen.stored_hashes.scheme import Written
from limen.stored_hashes.spelling import bytes_of, text_of

SALT_BYTES = 16  # RFC 9106, section 4
HASH_BYTES = 32

_TYPES = {"id": Type.ID, "i": Type.I}
_WRITTEN = re.compile(
    r"(\$argon2(id|i)\$v=19\$m=([1-9][0-9]{0,9}),t=([1-9][0-9]{0,4}),p=([1-9][0-9]{0,4})\$)"
    r"([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})",  # 8 to 64 bytes, 16 to 64 bytes
)


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
            normal(password).encode(),
            salt,
            time_cost=cost.passes,
            memory_cost=cost.memory_kib,
            parallelism=cost.lanes,
            hash_len=HASH_BYTES,
            type=Type.ID,
        ).decode()
    except HashingError:
        raise Busy(retry_after=1) from None


class Argon2:
    """Argon2id and Argon2i, of any parameters up to those that a setting may have."""

    def read(self, stored: str) -> Written | None:
        found = _WRITTEN.fullmatch(stored)
        if not found or bytes_of(found[6]) is None or bytes_of(found[7]) is None:
            return None
        cost = Argon2Cost(int(found[3]), int(found[4]), int(found[5]))
        return Written(found[1], _is_bearable(cost))

    def matches(self, password: str, stored: str) -> bool:
        normal_form = normal(password)
        if _is_of(normal_form, stored):
            return True
        return password != normal_form and _is_of(password, stored)

    def decoy(self, front: str) -> str:
        salt, digest = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(HASH_BYTES)
        return f"{front}{text_of(salt)}${text_of(digest)}"


def _is_of(password: str, stored: str) -> bool:
    kind = _TYPES["id" if stored.startswith("$argon2id$") else "i"]
    try:
        return verify_secret(stored.encode(), password.encode(), kind)
    except VerifyMismatchError:
        return False
    except VerificationError:
        raise Busy(retry_after=1) from None


def _is_bearable(cost: Argon2Cost) -> bool:
    return (
        8 * cost.lanes <= cost.memory_kib <= ARGON2_CEILING.memory_kib  # RFC 9106, section 3.1
        and cost.passes <= ARGON2_CEILING.passes
        and cost.lanes <= ARGON2_CEILING.lanes
    )
