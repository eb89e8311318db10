"""Stored password hashes: reading them, checking a password against one, standing in for one.

The front of a stored hash says how it was made, and so what it costs to check:

    $argon2id$v=19$m=19456,t=2,p=1$    ours, or imported with other parameters (PHC string)
    $2b$12$                            bcrypt; $2a$ and $2y$ are the same algorithm
    $scrypt$ln=16,r=8,p=1$             scrypt as passlib writes it
    scrypt$16384$8$5$                  scrypt as Django does, without the salt in its midst
    pbkdf2_sha256$1000000$             Django's PBKDF2
    bcrypt_sha256$$2b$12$              Django's bcrypt of a SHA-256
    argon2$argon2id$..., bcrypt$$2b$   the first two, with Django's name for them in front

A hash is read strictly, and only within the bounds of its scheme: a hostile one that asks for
4 GiB is refused, not computed, and so is one that is too cheap to trust. Whatever cannot be read
has no front, matches no password, and is never an error. That is also how an account without a
password is kept.

Hashes that were made elsewhere are checked with the bytes as they were typed, because that is what
they were made of. What is made here is made of the password after Unicode normalisation.

A decoy is a well-formed hash of no password: random bytes stand where the hash would. It costs
nothing to make, and to check exactly what a real one with that front costs.
"""

from collections.abc import Mapping
from typing import Literal

from limen.stored_hashes.argon2 import Argon2
from limen.stored_hashes.bcrypt import Bcrypt, first_bytes, hexadecimal_sha256
from limen.stored_hashes.pbkdf2 import PBKDF2
from limen.stored_hashes.scheme import Named, Scheme, Written
from limen.stored_hashes.scrypt import DjangoScrypt, PHCScrypt

# What stands in the place of a hash where there is no password, and nobody can sign in with one.
NO_PASSWORD = "!"  # noqa: S105  no hash begins like this, here or in Django

Fault = Literal["unknown", "cost"]

# By what a stored hash begins with; none of these is the beginning of another.
_SCHEMES: Mapping[str, Scheme] = {
    "$argon2": Argon2(),
    "$2": Bcrypt(first_bytes),
    "$scrypt$": PHCScrypt(),
    "scrypt$": DjangoScrypt(),
    "pbkdf2_sha256$": PBKDF2(),
    "bcrypt_sha256$": Named("bcrypt_sha256$", Bcrypt(hexadecimal_sha256)),
    "bcrypt$": Named("bcrypt$", Bcrypt(first_bytes)),
    "argon2$": Named("argon2", Argon2()),
}


def front_of(stored: str) -> str | None:
    """Return the front of a hash that can be checked, or None: malformed, or out of bounds."""
    written = _written(stored)
    return written.front if written and written.is_bearable else None


def fault_of(stored: str) -> Fault | None:
    """Return why a hash cannot be checked, or None if it can.

    "cost" is a hash that we could read, but that is too cheap to trust or too expensive to check.
    """
    written = _written(stored)
    if written is None:
        return "unknown"
    return None if written.is_bearable else "cost"


def matches(password: str, stored: str) -> bool:
    """Whether the password is the one of a stored hash that has a front. Blocks for its cost.

    Raises:
        Busy: There is no memory for it just now, which must not pass for a wrong password.
        ValueError: It has no front.
    """
    return _required(stored).matches(password, stored)


def decoy(front: str) -> str:
    """Return a well-formed hash with this front that is of no password."""
    return _required(front).decoy(front)


def _written(stored: str) -> Written | None:
    scheme = _scheme(stored)
    return None if scheme is None else scheme.read(stored)


def _scheme(stored: str) -> Scheme | None:
    return next((one for start, one in _SCHEMES.items() if stored.startswith(start)), None)


def _required(stored: str) -> Scheme:
    if (scheme := _scheme(stored)) is None:
        raise ValueError("This is no hash of a known scheme.")
    return scheme
