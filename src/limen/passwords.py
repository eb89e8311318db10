"""Passwords: which are accepted, and whether one is right.

The policy is the one that helps (NIST SP 800-63B, 3.1.1): a length of 8 to 256 code points, no
common password, nothing that is hardly more than the account's own words, and if the operator wants
it, nothing that is on a list of his or has leaked elsewhere. No rules about kinds of characters. A
password is never truncated, trimmed or case-folded; it is normalised (NFKC), so that the same
characters typed on another device are the same password.

A check must not tell which accounts exist, by its answer or by the time it takes:

    no password       empty, too long, or not text: the account's work is done, and it never matches
    unknown account   the same work against a decoy, a well-formed hash of no password
    unreadable hash   malformed, or out of bounds: the same, and it never matches
    imported hash     of another scheme or cost: checked as it is, at its own cost, and replaced by
                      a current Argon2id hash of the whole password once that is known

The cost of imported hashes is what `limen.stand_ins` hides.
"""

import gzip
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from limen.blocklist import Blocklist
from limen.breaches import BreachedPasswords
from limen.errors import ConfigurationError, InvalidRequest, PasswordRefused
from limen.hashing import HashingRoom, Place
from limen.normal_form import folded, normal
from limen.settings import Argon2Cost
from limen.stand_ins import StandIns
from limen.stored_hashes import decoy, front_of, matches
from limen.stored_hashes.argon2 import argon2_front, argon2_hash

MIN_LENGTH = 8  # code points, after normalisation
MAX_LENGTH = 256  # code points, as sent: it bounds the work of normalising

# "baseball2024" is guessed right after "baseball": up to four digits or signs at the end, as long
# as a year, do not make a common password another one.
TAIL = re.compile(r"[\W\d_]{1,4}\Z")

# Words of the account and fewer than four characters more are no secret. Words shorter than four
# characters occur in honest passwords by chance.
SHORTEST_WORD = 4
FEWEST_MORE = 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the password is right, and the hash to store in place of the old one, if any."""

    matches: bool
    upgraded: str | None = field(default=None, repr=False)


class Passwords:
    """The policy, and the checking of passwords against stored hashes.

    `stand_in_key` should be the same on all workers and across restarts; without one, a random
    key is used. New passwords are looked for in `blocklist` and `breaches`, where there are any.

    Raises:
        ConfigurationError: The cost is above what a stored hash may cost.
    """

    def __init__(
        self,
        cost: Argon2Cost,
        room: HashingRoom,
        *,
        min_length: int = MIN_LENGTH,
        service_name: str = "limen",
        stand_in_key: bytes | None = None,
        blocklist: Blocklist | None = None,
        breaches: BreachedPasswords | None = None,
    ) -> None:
        self._cost = cost
        self._room = room
        self._min_length = min_length
        self._service_name = service_name
        self._blocklist = blocklist
        self._breaches = breaches
        self._front = argon2_front(cost)
        self._decoy = decoy(self._front)
        if front_of(self._decoy) is None:
            raise ConfigurationError(
                "LIMEN_PASSWORD_HASH",
                "the cost is out of bounds: 8 KiB a lane to 256 MiB, up to 16 passes and lanes",
                "argon2id:m=19456,t=2,p=1",
            )
        self._stand_ins = StandIns(self._front, stand_in_key or secrets.token_bytes(32))

    async def check_new(self, password: str, email: str) -> None:
        """Refuse a password that nobody may choose for the account of this address.

        Raises:
            PasswordRefused: With a `reason`, and a sentence that says what to do.
            InvalidRequest: It holds NUL or a lone surrogate.
            PasswordCheckUnavailable: Nobody can tell whether it has leaked.
            DatabaseUnavailable: Nobody can tell whether it is on the list.
        """
        self.check_policy(password, email)
        if self._blocklist and await self._blocklist.has(password):
            raise PasswordRefused("blocked", "This password is on a list: choose another.")
        if self._breaches and await self._breaches.have(normal(password)):
            raise PasswordRefused(
                "breached", "This password has leaked elsewhere: choose another, here and there."
            )

    def check_policy(self, password: str, email: str) -> None:
        """Refuse a password that is too short, too long, common, or made of the account's words.

        Raises:
            PasswordRefused: With a `reason`, and a sentence that says what to do.
            InvalidRequest: It holds NUL or a lone surrogate.
        """
        if len(password) > MAX_LENGTH:
            raise PasswordRefused("too_long", f"Use at most {MAX_LENGTH} characters.")
        if not _is_text(password):
            raise InvalidRequest(
                "The password holds characters that no text has.", field="password"
            )
        # Counted both ways, because some characters become many when they are normalised.
        if min(len(password), len(normal(password))) < self._min_length:
            raise PasswordRefused("too_short", f"Use at least {self._min_length} characters.")
        bare = folded(password)
        if bare in _common_passwords() or TAIL.sub("", bare) in _common_passwords():
            raise PasswordRefused(
                "common", "This password is among the first that are guessed: choose another."
            )
        if _is_little_more_than(_words(email, self._service_name), bare):
            raise PasswordRefused(
                "context", "Do not build the password from your address or this service's name."
            )

    def check_hash(self, stored: str) -> None:
        """Refuse a hash made elsewhere that could not be verified here, or not at a sane cost.

        Raises:
            InvalidRequest: It is of no scheme that `limen.stored_hashes` knows, or out of bounds.
        """
        if front_of(stored) is None:
            raise InvalidRequest(
                "Give a hash of Argon2, bcrypt, scrypt or Django's PBKDF2, and one that is neither "
                "too cheap nor too expensive: docs/passwords.md has the bounds.",
                field="password_hash",
            )

    def require_room(self) -> None:
        """Refuse at once what could not be hashed in time anyway.

        Raises:
            Busy: The hashing queue is full.
        """
        self._room.admit()

    def place(self) -> AbstractAsyncContextManager[Place]:
        """Hold a place for a password to verify, while the database is asked for its hash.

        Raises:
            Busy: The hashing queue is full.
        """
        return self._room.place()

    async def hash(self, password: str) -> str:
        """Return a new hash of the password to store, as a PHC string.

        Raises:
            InvalidRequest: Nobody could sign in with it: empty, too long, or not text.
            Busy: There is no room to hash it now.
        """
        if not _is_possible(password):
            raise InvalidRequest("This cannot be a password.", field="password")
        return await self._room.run(argon2_hash, password, self._cost)

    async def verify(
        self, password: str, stored: str | None, place: Place | None = None
    ) -> Verdict:
        """Check any string as a password against a stored hash; None where there is no account.

        With None, the work is that of a current hash. Prefer `stand_in`, also for an account that
        is disabled: then it cannot be told from an unknown one.

        Raises:
            Busy: There is no room to hash it now; nothing was decided.
        """
        readable = stored if stored and front_of(stored) else None
        possible = _is_possible(password)
        verdict = await (place or self._room).run(
            self._check, password if possible else "", readable or self._decoy
        )
        return verdict if readable and possible else Verdict(matches=False)

    def stand_in(self, email_key: str) -> str:
        """Return the hash to verify against for an address without an account; none matches it."""
        return self._stand_ins.choose(email_key)

    def of_nobody(self, email_key: str) -> str:
        """Return a hash for an account without a password, at the cost of this address's stand-in.

        No password matches it, so signing in tells such an account from none as little as any.
        """
        return decoy(front_of(self.stand_in(email_key)) or self._front)

    def look_alike(self, stored: str) -> str:
        """Return a hash that costs as much to check as a stored one, and that nothing matches.

        It is for an account that no password opens for now, and that must not be seen to be so.
        """
        return decoy(front_of(stored) or self._front)

    def learn(self, sample: Sequence[str]) -> None:
        """Take a random sample of the stored hashes, at start and now and then, for `stand_in`."""
        self._stand_ins.learn(sample)

    def _check(self, password: str, stored: str) -> Verdict:
        if not matches(password, stored):
            return Verdict(matches=False)
        if front_of(stored) == self._front:
            return Verdict(matches=True)
        return Verdict(matches=True, upgraded=argon2_hash(password, self._cost))


def _is_possible(password: str) -> bool:
    return 0 < len(password) <= MAX_LENGTH and _is_text(password)


def _is_text(password: str) -> bool:
    return "\0" not in password and not any("\ud800" <= mark <= "\udfff" for mark in password)


@cache
def _common_passwords() -> frozenset[str]:
    packed = files("limen").joinpath("data", "common_passwords.txt.gz").read_bytes()
    return frozenset(gzip.decompress(packed).decode().splitlines())


def _words(email: str, service_name: str) -> Iterator[str]:
    """Yield the address, its local part and the pieces, the domain's longest label, the name."""
    yield folded(email)
    local, _, domain = folded(email).rpartition("@")
    yield local
    yield from re.split(r"[\W_]", local)
    yield max(domain.split(".")[:-1], key=len, default="")
    yield folded(service_name)


def _is_little_more_than(words: Iterator[str], password: str) -> bool:
    rest = password
    for word in sorted(words, key=len, reverse=True):
        if len(word) >= SHORTEST_WORD:
            rest = rest.replace(word, "")
    return rest != password and len(rest) < FEWEST_MORE
