"""Signing out: authentic tokens end their session once; others reach nothing."""

import jwt
import pytest

from limen.database.schema import revocations, sessions
from limen.events import Event, SessionEnded
from limen.limen import Limen
from tests.people import Person
from tests.stored import rows

pytestmark = pytest.mark.anyio


async def test_ending_a_session_again_changes_nothing(
    limen: Limen, ada: Person, happened: list[Event]
) -> None:
    for _ in range(2):
        await limen.features.logout.sign_out(
            refresh_token=ada.tokens["refresh_token"], access_token=ada.tokens["access_token"]
        )

    (row,) = await rows(limen, sessions)
    assert row.end_reason == "logout"
    assert len([entry for entry in await rows(limen, revocations) if entry.kind == "session"]) == 1
    assert happened.count(SessionEnded(row.sid, "logout", row.user_id)) == 1


async def test_a_token_of_a_key_that_was_not_heard_of_yet_ends_its_session_too(
    limen: Limen, twin: Limen, ada: Person
) -> None:
    await limen.features.keys.rotate(emergency=True)
    await limen.features.following.catch_up()
    await ada.sign_in()
    access = ada.tokens["access_token"]
    kid = jwt.get_unverified_header(access)["kid"]
    twin._memory.ring.replace(key for key in twin._memory.ring.all if key.kid != kid)
    twin.features.following._is_announced = True  # as when the announcement has only just come
    await twin.features.logout.sign_out(refresh_token=None, access_token=access)

    assert (await ada.refresh()).status_code == 401


async def test_a_worthless_token_ends_nothing(limen: Limen, ada: Person) -> None:
    await limen.features.logout.sign_out(refresh_token="garbage", access_token="a.b.c")

    (row,) = await rows(limen, sessions)
    assert row.ended_at is None
    assert (await ada.refresh()).status_code == 200
