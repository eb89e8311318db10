"""What a source tells of an account, and why a row is refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

Refusal = Literal[
    "malformed",
    "invalid_email",
    "duplicate_email",
    "unknown_hash",
    "hash_cost",
    "invalid_scope",
    "invalid_moment",
    "invalid_user_id",
    "user_id_taken",
]

# For a person; a program reads the codes.
WHY: Mapping[Refusal, str] = {
    "malformed": "it is not a row of this format",
    "invalid_email": "the address is missing, or none that an account can have",
    "duplicate_email": "a row before it has the same address",
    "unknown_hash": "its password hash is of no scheme that can be checked",
    "hash_cost": "its password hash is too cheap to trust or too expensive to check",
    "invalid_scope": "its scope or its roles are none that a token can carry",
    "invalid_moment": "it was created at no time that can be read, or in the future",
    "invalid_user_id": "its user_id is not 32 hexadecimal digits",
    "user_id_taken": "another account has its user_id",
}

# The columns of a CSV file and the members of a line of JSON. An export has all of them.
COLUMNS = (
    *("user_id", "email", "scope", "roles", "verified", "disabled", "created_at"),
    "password_hash",
)
NEEDED = ("email", "password_hash")

# What databases write when they are asked for CSV.
_FLAGS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False, "": False}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An account as a source tells of it, not checked yet. `created_at` is in microseconds."""

    email: str = field(repr=False)
    password_hash: str = field(repr=False)
    user_id: str | None = None
    scope: str = ""
    roles: str = ""
    is_superuser: bool = False
    is_verified: bool = False
    is_disabled: bool = False
    created_at: int | None = None


class Refused(Exception):
    """A row cannot become an account; `code` says why, and nothing repeats the row."""

    def __init__(self, code: Refusal) -> None:
        super().__init__(code)
        self.code = code


# A row of a source: where it stands, counted from 1, and what it tells.
Row: TypeAlias = tuple[int, Record | Refused]


def record(values: Mapping[str, object]) -> Record:
    """Return what the named values of `COLUMNS` tell of an account; None tells nothing.

    Raises:
        Refused: A value is not of its kind.
    """
    told = {name: value for name, value in values.items() if value is not None}
    return Record(
        email=text(told.get("email", "")),
        password_hash=text(told.get("password_hash", "")),
        user_id=text(told.get("user_id", "")) or None,
        scope=text(told.get("scope", "")),
        roles=text(told.get("roles", "")),
        is_verified=flag(told.get("verified", False)),
        is_disabled=flag(told.get("disabled", False)),
        created_at=moment(told.get("created_at", "")),
    )


def text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise Refused("malformed")


def flag(value: object) -> bool:
    known = _FLAGS.get(str(value).lower())
    if known is None:
        raise Refused("malformed")
    return known


def moment(value: object) -> int | None:
    """Return the microseconds of a time as ISO 8601 writes it, in UTC unless it says otherwise."""
    if not isinstance(value, str):
        raise Refused("invalid_moment")
    if not value:
        return None
    try:
        read = datetime.fromisoformat(value)
        aware = read if read.tzinfo else read.replace(tzinfo=UTC)
        return (aware - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        raise Refused("invalid_moment") from None
