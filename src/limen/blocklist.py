"""Passwords that an operator will not have, however many: his own list, or one of leaked ones.

The list is in the database, so that all machines refuse the same, from the moment it is imported.
Of each password it holds the first eight bytes of its SHA-1, which is what lists of leaked
passwords are made of, and a number that a database finds in one step among millions. A line is

    a password    correct horse               compared without regard to case
    a digest      5BAA61E4C9...:3861493       SHA-1, and how often it leaked, if the list says so:
                                              of one spelling, so that its case counts

Passwords are compared in normal form. Those that are too short or too long to be chosen are passed
over, and so are digests that are no SHA-1. Among ten million, a password that was not meant has a
chance of one in a million million to be refused.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import delete, func, select

from limen.clock import Clock
from limen.database.engine import Database
from limen.database.schema import blocked_passwords
from limen.normal_form import folded, normal

BATCH = 5000  # rows a transaction: others write in between

SHORTEST, LONGEST = 8, 256  # characters; what the policy accepts at all

_KEPT = 8  # bytes
_SHA1 = re.compile(rb"([0-9A-Fa-f]{40})(:[0-9]+)?")
_NTLM = re.compile(rb"[0-9A-Fa-f]{32}:[0-9]+")


@dataclass(frozen=True, slots=True)
class Imported:
    """How many lines added a password, named one that was there, or were passed over."""

    added: int = 0
    known: int = 0
    passed_over: int = 0


@dataclass(frozen=True, slots=True)
class Blocked:
    """How many passwords are on the list, and when the newest was added, in microseconds."""

    count: int
    since: int | None


class Blocklist:
    """The passwords that nobody may choose."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def has(self, password: str) -> bool:
        """Whether the password is on the list.

        Raises:
            DatabaseUnavailable: Nobody can tell.
        """
        forms = {_digest(normal(password)), _digest(folded(password))}
        column = blocked_passwords.c.digest
        async with self._database.read() as connection:
            found = await connection.execute(select(column).where(column.in_(forms)).limit(1))
            return found.first() is not None

    async def add(self, lines: Iterable[bytes]) -> Imported:
        """Add what the lines say, in batches; to begin again after a failure does no harm.

        Raises:
            DatabaseUnavailable: Some batches were added.
        """
        added = known = passed_over = 0
        rest = iter(lines)
        while batch := list(islice(rest, BATCH)):
            digests = [digest for line in batch if (digest := _digest_of_line(line)) is not None]
            new = await self._add(sorted(set(digests)))
            added, known = added + new, known + len(digests) - new
            passed_over += len(batch) - len(digests)
        return Imported(added, known, passed_over)

    async def size(self) -> Blocked:
        """Count the list.

        Raises:
            DatabaseUnavailable: It cannot be read.
        """
        query = select(func.count(), func.max(blocked_passwords.c.added_at))
        async with self._database.read() as connection:
            return Blocked(*(await connection.execute(query)).one())

    async def clear(self) -> int:
        """Empty the list; return how many passwords were on it.

        Raises:
            DatabaseUnavailable: Some may be left.
        """
        gone = 0
        column = blocked_passwords.c.digest
        batch = select(column).order_by(column).limit(BATCH)
        while True:
            async with self._database.write() as connection:
                done = await connection.execute(delete(blocked_passwords).where(column.in_(batch)))
            if not done.rowcount:
                return gone
            gone += done.rowcount

    async def _add(self, digests: list[int]) -> int:
        if not digests:
            return 0
        new = self._database.insert(blocked_passwords).on_conflict_do_nothing()
        now = self._clock()
        rows = [{"digest": digest, "added_at": now} for digest in digests]
        async with self._database.write() as connection:
            counted = new.execution_options(preserve_rowcount=True)
            return int((await connection.execute(counted, rows)).rowcount)


def _digest(text: str) -> int:
    return _number(hashlib.sha1(text.encode(), usedforsecurity=False).digest())


def _number(digest: bytes) -> int:
    return int.from_bytes(digest[:_KEPT], signed=True)


def _digest_of_line(line: bytes) -> int | None:
    if found := _SHA1.fullmatch(line.strip()):
        return _number(bytes.fromhex(found[1].decode()))
    if _NTLM.fullmatch(line.strip()):
        return None
    try:
        password = folded(line.decode())
    except UnicodeDecodeError:
        return None
    return _digest(password) if SHORTEST <= len(password) <= LONGEST else None
