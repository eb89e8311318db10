"""Importing accounts: each row is checked, and stored, refused or found to be there already.

    stored     in batches, one transaction each: who is interrupted keeps what was done
    refused    for a reason of its own; of two rows with one address, the second
    there      the address has an account, from an earlier run or by itself; it is left as it is

A dry run does the same and looks where it would write, so that its report is what would happen.
"""

import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from sqlalchemy import Column, select

from limen.clock import SECOND, Clock
from limen.database.engine import Database
from limen.database.schema import accounts
from limen.emails import Email, Emails
from limen.errors import InvalidRequest
from limen.events import Registered
from limen.revocation import RevocationLog
from limen.scopes import check_words
from limen.stored_hashes import NO_PASSWORD, fault_of
from limen.transfer.records import Record, Refusal, Refused, Row

BATCH = 500

# By which the clock of the other system may be ahead.
AHEAD = 86_400 * SECOND

_USER_ID_DIGITS = 32


@dataclass(slots=True)
class Report:
    """What became of the rows. Those that were stored are counted by what they are as well."""

    imported: int = 0
    without_password: int = 0
    disabled: int = 0
    superusers: int = 0
    there_already: list[int] = field(default_factory=list)
    refused: list[tuple[int, Refusal]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A row that may be stored, as it would be."""

    place: int
    record: Record
    values: Mapping[str, Any] = field(repr=False)


class AccountImport:
    """Imports rows of a source.

    Superusers are given `superuser_scope`, and no scope without it. `drop_bad_hashes` stores an
    account whose hash cannot be checked without a password, rather than refusing it.
    """

    def __init__(
        self,
        database: Database,
        log: RevocationLog,
        emails: Emails,
        *,
        clock: Clock,
        superuser_scope: str = "",
        drop_bad_hashes: bool = False,
    ) -> None:
        check_words(superuser_scope, "scope")
        self._database = database
        self._log = log
        self._emails = emails
        self._clock = clock
        self._superuser_scope = superuser_scope
        self._drop_bad_hashes = drop_bad_hashes
        self._seen: set[str] = set()

    async def run(self, rows: Iterable[Row], *, dry_run: bool = False) -> Report:
        """Import the rows, or in a dry run find out what that would do.

        Raises:
            InvalidRequest: The source is not what it should be; what came before it is stored.
            DatabaseUnavailable: Some batches were stored.
        """
        report = Report()
        rest = iter(rows)
        while batch := list(islice(rest, BATCH)):
            candidates = {one.values["email_key"]: one for one in self._good(batch, report)}
            if not candidates:
                continue
            stored = set() if dry_run else await self._store(list(candidates.values()))
            left = {key: one for key, one in candidates.items() if key not in stored}
            free = await self._sort_out(left, report)
            for key in free if dry_run else stored:
                _count(report, candidates[key])
        return report

    def _good(self, batch: Iterable[Row], report: Report) -> Iterator[_Candidate]:
        for place, found in batch:
            try:
                if isinstance(found, Refused):
                    raise found
                yield _Candidate(place, found, self._values(found))
            except Refused as refused:
                report.refused.append((place, refused.code))

    def _values(self, record: Record) -> dict[str, Any]:
        """Return the row that the account would have."""
        address = self._address(record.email)
        now = self._clock()
        if record.created_at is not None and not 0 <= record.created_at <= now + AHEAD:
            raise Refused("invalid_moment")
        scope = record.scope or (self._superuser_scope if record.is_superuser else "")
        values: dict[str, Any] = {
            "user_id": _user_id(record.user_id),
            "email": address.shown,
            "email_key": address.key,
            "password_hash": self._password_hash(record.password_hash),
            "cv": 1,
            "scope": _words(scope, "scope"),
            "roles": _words(record.roles, "role"),
            "created_at": now if record.created_at is None else record.created_at,
            "disabled_at": now if record.is_disabled else None,
            "verified_at": now if record.is_verified else None,
        }
        if address.key in self._seen:
            raise Refused("duplicate_email")
        if record.user_id in self._seen:
            raise Refused("user_id_taken")
        self._seen |= {address.key, values["user_id"]}
        return values

    def _address(self, email: str) -> Email:
        try:
            return self._emails.parse(email)
        except InvalidRequest:
            raise Refused("invalid_email") from None

    def _password_hash(self, stored: str) -> str:
        if stored.startswith(NO_PASSWORD):
            return NO_PASSWORD
        fault = fault_of(stored)
        if fault and not self._drop_bad_hashes:
            raise Refused("unknown_hash" if fault == "unknown" else "hash_cost")
        return NO_PASSWORD if fault else stored

    async def _store(self, candidates: list[_Candidate]) -> set[str]:
        """Store those whose address and user_id are free; return the keys of their addresses."""
        new = self._database.insert(accounts).on_conflict_do_nothing()
        new = new.returning(accounts.c.email_key)
        rows = [one.values for one in candidates]
        async with self._log.change() as change:
            stored = set((await change.connection.execute(new, rows)).scalars())
            made = [one.values for one in candidates if one.values["email_key"] in stored]
            change.happened(
                *(Registered(values["user_id"], values["scope"] or None) for values in made)
            )
        return stored

    async def _sort_out(self, left: Mapping[str, _Candidate], report: Report) -> list[str]:
        """Report those whose address or user_id is taken; return the addresses of the others."""
        addresses = await self._taken(accounts.c.email_key, left.values())
        user_ids = await self._taken(accounts.c.user_id, left.values())
        free = []
        for key, one in left.items():
            if key in addresses:
                report.there_already.append(one.place)
            elif one.values["user_id"] in user_ids:
                report.refused.append((one.place, "user_id_taken"))
            else:
                free.append(key)
        return free

    async def _taken(self, column: Column[str], left: Collection[_Candidate]) -> set[str]:
        if not left:
            return set()
        wanted = select(column).where(column.in_([one.values[column.name] for one in left]))
        async with self._database.read() as connection:
            return set((await connection.execute(wanted)).scalars())


def _words(words: str, what: Literal["scope", "role"]) -> str:
    try:
        check_words(words, what)
    except InvalidRequest:
        raise Refused("invalid_scope") from None
    return words


def _user_id(user_id: str | None) -> str:
    if user_id is None:
        return secrets.token_hex(_USER_ID_DIGITS // 2)
    if len(user_id) != _USER_ID_DIGITS or not set(user_id) <= set("0123456789abcdef"):
        raise Refused("invalid_user_id")
    return user_id


def _count(report: Report, one: _Candidate) -> None:
    report.imported += 1
    report.without_password += one.values["password_hash"] == NO_PASSWORD
    report.disabled += one.values["disabled_at"] is not None
    report.superusers += one.record.is_superuser
