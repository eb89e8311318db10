"""What each kind of change voids, and that nothing is voided without the change."""

from contextlib import suppress

import httpx2
import pytest

from limen import events
from limen.account_changes import ENDS_SESSIONS
from limen.events import AccountChanged, Event, SessionEnded
from limen.limen import Limen
from tests.people import Person, somebody

pytestmark = pytest.mark.anyio


async def make(limen: Limen, ada: Person, kind: events.Change, **options: object) -> bool:
    async with limen.features.log.change() as change:
        return await limen.features.changes.make(change, ada.user_id, kind, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [kind for kind in ENDS_SESSIONS if kind != "deleted"])
async def test_what_ends_sessions_ends_their_tokens_at_once(
    limen: Limen, ada: Person, happened: list[Event], kind: events.Change
) -> None:
    sid = (await ada.me()).json()["sid"]
    happened.clear()
    assert await make(limen, ada, kind)

    assert (await ada.me()).status_code == 401
    assert (await ada.refresh()).status_code == 401
    assert happened.count(AccountChanged(ada.user_id, kind)) == 1
    assert happened.count(SessionEnded(sid, ENDS_SESSIONS[kind], ada.user_id)) == 1


async def test_the_session_that_is_kept_goes_on_by_refreshing(
    limen: Limen, http: httpx2.AsyncClient, ada: Person
) -> None:
    kept = (await ada.me()).json()["sid"]
    elsewhere = Person(http, ada.email, ada.user_id)
    await elsewhere.sign_in()
    assert await make(limen, ada, "password_changed", keep=kept)

    assert (await ada.me()).status_code == 401
    assert (await ada.refresh()).status_code == 200
    assert (await ada.me()).json()["sid"] == kept
    assert (await elsewhere.refresh()).status_code == 401


async def test_a_change_of_access_voids_access_tokens_and_ends_no_session(
    limen: Limen, ada: Person
) -> None:
    assert await make(limen, ada, "access_changed", values={"scope": "orders:read"})

    assert (await ada.me()).status_code == 401
    assert (await ada.refresh()).status_code == 200
    assert (await ada.me()).json()["scope"] == "orders:read"


async def test_a_change_for_another_credential_version_changes_nothing(
    limen: Limen, ada: Person, happened: list[Event]
) -> None:
    happened.clear()
    assert not await make(limen, ada, "disabled", if_cv=7, values={"disabled_at": 1})

    assert happened == []
    assert (await ada.me()).status_code == 200
    assert (await limen.features.accounts.get(ada.user_id)).disabled_at is None


async def test_what_is_rolled_back_has_not_happened(
    limen: Limen, ada: Person, happened: list[Event]
) -> None:
    happened.clear()
    with suppress(RuntimeError):
        async with limen.features.log.change() as change:
            assert await limen.features.changes.make(change, ada.user_id, "sessions_ended")
            raise RuntimeError

    assert happened == []
    assert (await ada.me()).status_code == 200


async def test_a_deleted_account_leaves_no_session_and_no_token(
    limen: Limen, http: httpx2.AsyncClient, ada: Person
) -> None:
    await limen.features.accounts.delete(ada.user_id)

    assert (await ada.me()).status_code == 401
    assert (await ada.refresh()).status_code == 401
    again = await somebody(limen, http)
    assert again.user_id != ada.user_id
