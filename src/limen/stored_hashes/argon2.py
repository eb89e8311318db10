"""Argon2, as PHC strings: `$argon2id$v=19$m=19456,t=2,p=1$salt$hash`. What limen makes itself.

A password is hashed in its normal form. Other systems hash the bytes as they come, and their hashes
look like ours. So a password that its normal form differs from is tried in both: with any hash,
whoever made it, so that the time tells nothing but what the caller has typed himself.

Two libraries compute it, bit for bit alike. libsodium uses the widest instructions that it finds in
the processor, and with them needs little more than half the time. It knows Argon2id in one lane
with a salt of 16 bytes, which is how limen hashes unless a setting says otherwise; argon2-cffi
computes the rest. So the length of a salt, too, may decide how long a hash takes, and its front
says it: `...,p=1$22` is the front of those with a salt of 22 bytes; 16 goes without saying.
"""

import hmac
import re
import secrets
from typing import NamedTuple

from argon2.exceptions import HashingError
from argon2.low_level import Type, hash_secret_raw
from nacl.bindings import crypto_pwhash_alg, crypto_pwhash_ALG_ARGON2ID13

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
    digest = _digest(normal(password), _Made("id", cost, salt, HASH_BYTES))
    return f"{argon2_front(cost)}{text_of(salt)}${text_of(digest)}"


class Argon2:
    """Argon2id and Argon2i, of any parameters up to those that a setting may have."""

    def read(self, stored: str) -> Written | None:
        parts = _parts(stored)
        if parts is None:
            return None
        made, salt_bytes = parts.made, len(parts.made.salt)
        length = "" if salt_bytes == SALT_BYTES else str(salt_bytes)
        return Written(parts.front + length, _is_bearable(made.cost))

    def matches(self, password: str, stored: str) -> bool:
        if (parts := _parts(stored)) is None:
            raise ValueError("This is no hash of Argon2.")
        normal_form = normal(password)
        if parts.are_of(normal_form):
            return True
        return password != normal_form and parts.are_of(password)

    def decoy(self, front: str) -> str:
        named, _, length = front.rpartition("$")
        salt = secrets.token_bytes(int(length or SALT_BYTES))
        return f"{named}${text_of(salt)}${text_of(secrets.token_bytes(HASH_BYTES))}"


class _Made(NamedTuple):
    """How a hash is made of a password: the type of Argon2, the cost, the salt, its length."""

    kind: str
    cost: Argon2Cost
    salt: bytes
    length: int


class _Parts(NamedTuple):
    """A hash that was read: what stands in front of its salt, how it was made, what came out."""

    front: str
    made: _Made
    digest: bytes

    def are_of(self, password: str) -> bool:
        return hmac.compare_digest(_digest(password, self.made), self.digest)


def _parts(stored: str) -> _Parts | None:
    if (found := _WRITTEN.fullmatch(stored)) is None:
        return None
    salt, digest = bytes_of(found[6]), bytes_of(found[7])
    if salt is None or digest is None:
        return None
    cost = Argon2Cost(int(found[3]), int(found[4]), int(found[5]))
    return _Parts(found[1], _Made(found[2], cost, salt, len(digest)), digest)


def _digest(password: str, made: _Made) -> bytes:
    kind, cost, salt, length = made
    try:
        if kind == "id" and cost.lanes == 1 and len(salt) == SALT_BYTES:
            memory, algorithm = cost.memory_kib * 1024, crypto_pwhash_ALG_ARGON2ID13
            return crypto_pwhash_alg(
                length, password.encode(), salt, cost.passes, memory, algorithm
            )
        return hash_secret_raw(
            password.encode(), salt, cost.passes, cost.memory_kib, cost.lanes, length, _TYPES[kind]
        )
    except (RuntimeError, HashingError):  # how the two say that there is no memory
        raise Busy(retry_after=1) from None


def _is_bearable(cost: Argon2Cost) -> bool:
    return (
        8 * cost.lanes <= cost.memory_kib <= ARGON2_CEILING.memory_kib  # RFC 9106, section 3.1
        and cost.passes <= ARGON2_CEILING.passes
        and cost.lanes <= ARGON2_CEILING.lanes
    )
