"""Exporting accounts: everything that an import needs to make them again, elsewhere or here."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from limen.accounts import Account, Accounts

PAGE = 500

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def exported(
    accounts: Accounts, *, with_hashes: bool = False
) -> AsyncIterator[list[dict[str, object]]]:
    """Yield the accounts as documents, a page at a time, in the order of their user_ids.

    Raises:
        DatabaseUnavailable: The pages so far are all that could be read.
    """
    after = ""
    while page := await accounts.page(after=after, limit=PAGE):
        after = page[-1].user_id
        yield [_document(account, with_hashes=with_hashes) for account in page]


def _document(account: Account, *, with_hashes: bool) -> dict[str, object]:
    document: dict[str, object] = {
        "user_id": account.user_id,
        "email": account.email,
        "scope": account.scope,
        "roles": account.roles,
        "verified": account.verified_at is not None,
        "disabled": account.disabled_at is not None,
        "created_at": (_EPOCH + timedelta(microseconds=account.created_at)).isoformat(),
    }
    return document | ({"password_hash": account.password_hash} if with_hashes else {})
