"""R11, Better Auth GHSA-2vg6-77g8-24mp: the sessions of a deleted account went on.

Nothing that was handed out to it is worth anything any more, wherever it is shown, and whoever has
its address next is somebody else.
"""

import asyncio
import json

import httpx2
import pytest

from limen.limen import Limen
from limen.verify.gate import split
from tests.clock import ManualClock
from tests.crowds import occupied, until
from tests.people import AUTH, PASSWORD, Person, attempt, calling_from, somebody
from tests.services import INACTIVE, a_service

pytestmark = pytest.mark.anyio


async def test_every_token_is_refused_everywhere(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    elsewhere = Person(stranger, ada.email, ada.user_id)
    await elsewhere.sign_in()
    service = await a_service(limen, ada.http)
    await ada.delete_me()

    for person in (ada, elsewhere):
        access, refresh = person.tokens["access_token"], person.tokens["refresh_token"]
        assert (await person.me()).json()["code"] == "invalid_token"
        assert (await person.refresh()).json()["code"] == "invalid_refresh_token"
        assert (await person.refresh(key="0123456789abcdef")).status_code == 401
        for token in (access, refresh):
            assert (await service.introspect(token)).content == INACTIVE
        assert (await person.delete_me()).status_code == 401
        assert (await person.change_password("quite another battery")).status_code == 401
        listed = await person.http.get(f"{AUTH}/sessions", headers=person.bearer())
        assert listed.status_code == 401


async def test_other_processes_refuse_them_within_moments(
    limen: Limen, twin: Limen, ada: Person
) -> None:
    async with calling_from(twin, "127.0.0.1") as there:
        elsewhere = Person(there, ada.email, ada.user_id, tokens=ada.tokens)
        assert (await elsewhere.me()).status_code == 200
        await ada.delete_me()
        refreshed = await elsewhere.refresh()
        async with asyncio.timeout(5):
            while (await elsewhere.me()).status_code != 401:  # noqa: ASYNC110  another process acts
                await asyncio.sleep(0.05)

    assert refreshed.status_code == 401
    assert limen is not twin


async def test_they_stay_refused_when_the_address_has_an_account_again(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient, clock: ManualClock
) -> None:
    old = dict(ada.tokens)
    await ada.delete_me()
    again = await somebody(limen, stranger, ada.email)

    assert (await ada.me(old["access_token"])).status_code == 401
    assert (await ada.refresh(old["refresh_token"])).status_code == 401
    clock.tick(60)
    assert (await ada.me(old["access_token"])).status_code == 401
    assert (await again.me()).json()["user_id"] != ada.user_id
    assert json.loads(split(again.tokens["access_token"])[1])["sub"] == again.user_id


async def test_a_user_id_is_never_used_again(limen: Limen, stranger: httpx2.AsyncClient) -> None:
    seen = set()
    for _ in range(5):
        person = await somebody(limen, stranger)
        seen.add(person.user_id)
        assert (await person.delete_me()).status_code == 204

    assert len(seen) == 5


async def test_a_sign_in_that_is_on_its_way_does_not_arrive(
    limen: Limen, twin: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    room = limen.features.room
    async with occupied(room):
        signing_in = asyncio.create_task(attempt(stranger, ada.email, PASSWORD))
        await until(lambda: room.waiting == 1)
        await twin.features.accounts.delete(ada.user_id)

    assert (await signing_in).status_code == 401


async def test_a_refresh_and_the_deletion_at_once_leave_nothing(ada: Person) -> None:
    """Whichever comes first."""
    refreshed, deleted = await asyncio.gather(ada.refresh(), ada.delete_me())

    assert deleted.status_code == 204
    if refreshed.status_code == 200:
        assert (await ada.me(refreshed.json()["access_token"])).status_code == 401
        assert (await ada.refresh(refreshed.json()["refresh_token"])).status_code == 401
