"""`limen explain`: why a session ended, asked beside the server that it was a session of."""

import asyncio
import json

import pytest

from limen.database.schema import sessions
from limen.limen import Limen
from tests.cli.conftest import Call
from tests.conftest import on_sqlite
from tests.people import Person, calling_from
from tests.stored import rows

pytestmark = [pytest.mark.anyio, on_sqlite]


@pytest.fixture
async def sid(limen: Limen, ada: Person) -> str:
    """A session that was ended by a replay from elsewhere."""
    (row,) = await rows(limen, sessions)
    stolen = ada.tokens["refresh_token"]
    await ada.refresh()
    async with calling_from(limen, "203.0.113.9") as thief:
        assert (await Person(thief, "", "").refresh(stolen)).status_code == 401
    return str(row.sid)


async def test_a_replayed_session_is_explained_in_plain_words(call: Call, sid: str) -> None:
    result = await asyncio.to_thread(call, "explain", sid)

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"Session {sid} of account ")
    assert (
        "a refresh token that had been used before was presented again from 203.0.113.9"
        in (lines[3])
    )
    assert lines[4] == "So somebody had a copy, and the session was ended for both."


async def test_a_program_is_told_the_same(call: Call, ada: Person, sid: str) -> None:
    document = json.loads((await asyncio.to_thread(call, "explain", sid, "--json")).stdout)

    assert (document["state"], document["reason"]) == ("ended", "replay")
    assert (document["user_id"], document["refreshed"], document["presented"]) == (
        ada.user_id,
        1,
        0,
    )
    assert document["started"]["address"] == "127.0.0.1"
    assert document["ended"]["address"] == "203.0.113.9"
    assert document["ended"]["at"].endswith("Z")
    assert "presented again" in document["explanation"]
