"""Finding accounts by how their addresses begin, a page at a time.

What is typed is brought to the form of the keys first (`limen.emails`), so that capitals,
full-width letters and Unicode domains find what they mean. The accounts are then a range of the
index of the keys, from the beginning itself up to the last string that begins with it. No pattern
is matched, so `%` and `_` are characters like any other. A page begins behind the last key of the
one before, and costs the same wherever it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Select, select

from limen.accounts import Account, account_of
from limen.database.engine import Database
from limen.database.schema import accounts
from limen.emails import beginning_of_key

State = Literal["active", "disabled", "reset_required"]

# No address holds it, and nothing sorts behind it.
LAST_CHARACTER: Final = "\U0010ffff"

_STATES: Final[dict[State, ColumnElement[bool]]] = {
    "active": accounts.c.disabled_at.is_(None) & accounts.c.reset_required_at.is_(None),
    "disabled": accounts.c.disabled_at.is_not(None),
    "reset_required": accounts.c.disabled_at.is_(None) & accounts.c.reset_required_at.is_not(None),
}


def state_of(account: Account) -> State:
    """Return the state of an account; a disabled one may need a new password, too."""
    if account.disabled_at is not None:
        return "disabled"
    return "active" if account.reset_required_at is None else "reset_required"


@dataclass(frozen=True, slots=True)
class AccountPage:
    """Some accounts in the order of their keys; there is more behind the key `next`, if any."""

    accounts: Sequence[Account]
    next: str | None


class AccountSearch:
    """Finds accounts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, *, prefix: str = "", state: State | None = None, after: str = "", limit: int
    ) -> AccountPage:
        """Return the accounts in this state whose addresses begin so, from behind a key.

        A rare state among many accounts is looked for in all of them, unless there is a prefix.

        Raises:
            DatabaseUnavailable: They cannot be read, or not in time.
        """
        async with self._database.read() as connection:
            rows = (await connection.execute(_query(prefix, state, after, limit + 1))).all()
        found = [account_of(row) for row in rows[:limit]]
        return AccountPage(found, found[-1].email_key if len(rows) > limit else None)


def _query(prefix: str, state: State | None, after: str, limit: int) -> Select[Any]:
    key = accounts.c.email_key
    query = select(accounts).where(key > after).order_by(key).limit(limit)
    if beginning := beginning_of_key(prefix):
        query = query.where(key >= beginning, key < beginning + LAST_CHARACTER)
    return query if state is None else query.where(_STATES[state])
