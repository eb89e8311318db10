"""The personal part of an audit entry: from which address it was done, and with what device.

It must be erasable without breaking the chain. So the chain holds only a commitment to it, the
digest of a text that has a random salt in it; erasing the text takes everything away that the
commitment could be compared with.

It belongs to the account that acted, or where nobody had signed in, to the account that the entry
is about: a sign-in, also one that failed. What an administrator does to somebody's account was done
from the administrator's address, and is erased with his.
"""

import hashlib
import secrets
from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy import ColumnElement, and_, func, not_, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from limen.audit_chain import as_json
from limen.clients import device_name
from limen.database.schema import audit
from limen.origin import Origin
from limen.verify import base64url

ERASED: Final = ("account.changed", "erased")  # kind and outcome of what says that it was erased

_ACCOUNT: Final = "account:"

# What the index of those who acted holds: it is used where a query says so.
BY_ACCOUNT: Final = text(f"audit.actor LIKE '{_ACCOUNT}%'")


def actor(where: Origin) -> str:
    """Return who acts, as an entry tells it."""
    return where.actor if where.user_id is None else f"{_ACCOUNT}{where.user_id}"


def personal_part(where: Origin) -> str:
    """Return the text of a personal part."""
    known = {"address": where.address, "device": device_name(where.agent)}
    told = {name: value for name, value in known.items() if value is not None}
    return as_json({**told, "salt": secrets.token_urlsafe(16)})


def commitment(personal: str) -> str:
    """Return what the chain holds of a personal part; it is salted, so it cannot be guessed at."""
    return base64url.encode(hashlib.sha256(str(personal).encode()).digest())


def owner(acted: str, user_id: str | None) -> str | None:
    """Return whose the personal part of an entry is; None: nobody's who is known."""
    return acted.removeprefix(_ACCOUNT) if acted.startswith(_ACCOUNT) else user_id


def owned_by(user_id: str) -> ColumnElement[bool]:
    """Return the condition that finds the entries whose personal parts are this account's."""
    row = audit.c
    about = and_(row.user_id == user_id, not_(row.actor.startswith(_ACCOUNT)))
    return or_(about, and_(row.actor == f"{_ACCOUNT}{user_id}", BY_ACCOUNT))


async def erasures(connection: AsyncConnection, owners: Collection[str]) -> Mapping[str, int]:
    """Return the number of the last entry that says of each owner that his parts were erased."""
    row, (kind, outcome) = audit.c, ERASED
    said = select(row.user_id, func.max(row.seq)).where(
        row.user_id.in_(owners), row.kind == kind, row.outcome == outcome
    )
    return {found[0]: found[1] for found in await connection.execute(said.group_by(row.user_id))}
