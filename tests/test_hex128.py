"""128 bits, in the spelling that was stored and in no other, on both databases."""

import secrets
from uuid import UUID

import pytest
from sqlalchemy import select

from limen.database.schema import sessions
from limen.limen import Limen
from tests.people import Person

pytestmark = pytest.mark.anyio

ROW = select(sessions.c.fid_hash, sessions.c.sid)


async def test_what_comes_back_is_what_went_in(limen: Limen, ada: Person) -> None:
    sid = await ada.sid()
    async with limen.features.database.read() as connection:
        found = (await connection.execute(ROW.where(sessions.c.sid == sid))).one()
        again = await connection.execute(ROW.where(sessions.c.fid_hash == found.fid_hash))

        assert again.one() == found
    assert found.sid == sid
    assert {len(found.fid_hash), len(sid)} == {32}


async def test_the_same_digits_spelled_otherwise_find_nothing_and_are_no_error(
    limen: Limen, ada: Person
) -> None:
    sid = await ada.sid()
    dashed = str(UUID(sid))
    others = ("", "x" * 32, f"{sid}0", f"{{{dashed}}}", dashed, secrets.token_hex(16), None)
    async with limen.features.database.read() as connection:
        for other in others:
            found = await connection.execute(ROW.where(sessions.c.sid == other))
            assert found.all() == [], other
        found = await connection.execute(ROW.where(sessions.c.sid.in_([*others, sid])))

        assert len(found.all()) == 1
