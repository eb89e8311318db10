"""Deleting one's account: with the current password, and nothing of it is left."""

import asyncio

import httpx2
import pytest

from limen.database.schema import accounts, codes, outbox, sessions
from limen.errors import AccountNotFound
from limen.events import AccountChanged, Event, SessionEnded
from limen.limen import Limen
from tests.mailbox import last_mail, mails
from tests.people import PASSWORD, Person, attempt, forgot, has_failed, somebody
from tests.stored import rows

pytestmark = pytest.mark.anyio


async def test_account_sessions_and_codes_are_gone(
    limen: Limen, ada: Person, happened: list[Event]
) -> None:
    sid = await ada.sid()
    await forgot(ada.http, ada.email)
    await last_mail(limen, ada.email)
    happened.clear()

    assert (await ada.delete_me()).status_code == 204

    for table in (accounts, sessions, codes):
        assert await rows(limen, table) == []
    assert happened.count(AccountChanged(ada.user_id, "deleted")) == 1
    assert happened.count(SessionEnded(sid, "deleted", ada.user_id)) == 1
    with pytest.raises(AccountNotFound):
        await limen.features.accounts.get(ada.user_id)


async def test_another_account_stays(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    eve = await somebody(limen, stranger, "eve@example.com")
    await ada.delete_me()

    assert (await eve.me()).status_code == 200
    assert (await eve.refresh()).status_code == 200


@pytest.mark.parametrize("password", ["not the password", "", PASSWORD + " "])
async def test_a_wrong_password_deletes_nothing_and_counts(
    limen: Limen, ada: Person, password: str
) -> None:
    refused = await ada.delete_me(password)

    assert (refused.status_code, refused.json()["code"]) == (403, "wrong_password")
    assert (await ada.me()).status_code == 200
    assert (await limen.features.accounts.get(ada.user_id)).failures == 1


async def test_a_locked_account_is_not_deleted_from_where_the_device_is_not_known(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    await has_failed(limen, ada.user_id, 100)
    thief = Person(stranger, ada.email, ada.user_id, tokens=ada.tokens)

    assert (await thief.delete_me()).status_code == 403
    assert (await ada.delete_me()).status_code == 204


async def test_many_deletions_at_once_are_one(ada: Person, happened: list[Event]) -> None:
    answers = await asyncio.gather(*(ada.delete_me() for _ in range(5)))

    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[0] == 204
    assert set(statuses[1:]) <= {401, 403, 404}
    assert happened.count(AccountChanged(ada.user_id, "deleted")) == 1


async def test_what_was_to_be_mailed_is_mailed_to_nobody(limen: Limen, ada: Person) -> None:
    """Somebody asked for a code, and before that was looked at, the account was gone."""
    await ada.delete_me()
    for subject in ("forgot", "locked", "reset_required"):
        asked = {"user_id": ada.user_id, "email_key": ada.email}
        await limen.features.mail_requests.write_down(subject, asked)

    assert await mails(limen) == []
    assert {row.answer for row in await rows(limen, outbox)} == {"no such account"}


async def test_the_address_is_free_again(limen: Limen, ada: Person) -> None:
    await ada.delete_me()
    assert (await attempt(ada.http, ada.email)).status_code == 401

    again = await somebody(limen, ada.http)
    assert again.user_id != ada.user_id
