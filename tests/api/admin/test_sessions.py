"""Sessions of others: an administrator sees where somebody is signed in, and ends it there."""

import httpx2
import pytest

from limen.limen import Limen
from tests.api.admin.conftest import ask
from tests.api.admin.test_users import trail
from tests.conftest import on_sqlite
from tests.people import Person

pytestmark = pytest.mark.anyio


async def test_one_session_is_ended_and_the_others_go_on(
    limen: Limen, http: httpx2.AsyncClient, root: Person, ada: Person
) -> None:
    phone = Person(http, ada.email, ada.user_id)
    await phone.sign_in(**{"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"})
    sid = (await phone.me()).json()["sid"]
    shown = (await ask(root, f"GET /users/{ada.user_id}/sessions")).json()
    (session,) = (one for one in shown["sessions"] if one["sid"] == sid)

    assert shown["complete"] is True
    assert len(shown["sessions"]) == 2
    assert session["device"] is not None
    assert session["address"] == "127.0.0.1"
    assert {*session} == {"sid", "device", "address", "first_seen", "last_seen", "expires_at"}

    assert (await ask(root, f"DELETE /sessions/{sid}")).status_code == 204
    assert (await phone.me()).status_code == 401
    assert (await phone.refresh()).status_code == 401
    assert (await ada.me()).status_code == 200
    assert len((await ask(root, f"GET /users/{ada.user_id}/sessions")).json()["sessions"]) == 1
    (entry,) = await trail(limen, root, "session.ended")
    assert (entry["outcome"], entry["sid"]) == ("ended_by_operator", sid)
    assert (await ask(root, f"DELETE /sessions/{sid}")).status_code == 204


@on_sqlite
async def test_a_session_that_is_not_there_is_not_found(root: Person) -> None:
    for call in (f"DELETE /sessions/{'0' * 32}", f"GET /users/{'0' * 32}/sessions"):
        assert (await ask(root, call)).status_code == 404
