"""/keys: an administrator sees the signing keys, and rotates them, calmly or in an emergency."""

import pytest

from limen.limen import Limen
from tests.api.admin.conftest import ask
from tests.api.admin.test_users import trail
from tests.conftest import on_sqlite
from tests.people import Person

pytestmark = pytest.mark.anyio


@on_sqlite
async def test_a_rotation_signs_nobody_out_and_is_recorded(
    limen: Limen, root: Person, ada: Person
) -> None:
    (before,) = (await ask(root, "GET /keys")).json()["keys"]
    assert {*before} == {*("kid", "algorithm", "state", "created_at", "signs_from", "retires_at")}
    keys = (await ask(root, "POST /keys/rotate")).json()["keys"]

    assert [key["state"] for key in keys] == ["current", "next"]
    assert keys[0]["kid"] == before["kid"]
    assert (await ada.me()).status_code == 200
    (entry,) = await trail(limen, root, "key.created")
    assert entry["detail"]["kid"] == keys[1]["kid"]


@on_sqlite
async def test_an_emergency_refuses_all_access_tokens_and_ends_no_session(
    root: Person, ada: Person
) -> None:
    keys = (await ask(root, "POST /keys/rotate", {"emergency": True})).json()["keys"]

    assert sorted(key["state"] for key in keys) == ["current", "retired"]
    assert (await ask(root, "GET /keys")).status_code == 401
    assert (await ada.me()).status_code == 401
    assert (await ada.refresh()).status_code == 200
    assert (await ada.me()).status_code == 200


@on_sqlite
@pytest.mark.parametrize("body", [{"emergency": "yes"}, {"emergncy": True}, [], "x"])
async def test_a_mistaken_rotation_makes_no_key(root: Person, body: object) -> None:
    assert (await ask(root, "POST /keys/rotate", body)).status_code == 422
    assert len((await ask(root, "GET /keys")).json()["keys"]) == 1
