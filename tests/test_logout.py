"""Signing out: authentic tokens end their session once; others reach nothing."""

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
    assert happened.count(SessionEnded(row.sid, "logout")) == 1


async def test_a_worthless_token_ends_nothing(limen: Limen, ada: Person) -> None:
    await limen.features.logout.sign_out(refresh_token="garbage", access_token="a.b.c")

    (row,) = await rows(limen, sessions)
    assert row.ended_at is None
    assert (await ada.refresh()).status_code == 200
