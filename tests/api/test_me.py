"""GET /me, as a client sees it."""

from datetime import UTC, datetime

import httpx2
import pytest

from limen.clock import SECOND
from limen.limen import Limen
from tests.clock import ManualClock
from tests.people import AUTH, Person, somebody
from tests.stored import moved_away

pytestmark = pytest.mark.anyio

ME = f"{AUTH}/me"


async def test_it_tells_who_one_is(limen: Limen, http: httpx2.AsyncClient) -> None:
    ada = await somebody(limen, http, "Ada@Example.com", scope="write read")
    response = await ada.me()

    assert response.status_code == 200
    found = response.json()
    created_at = datetime.fromisoformat(found.pop("created_at"))
    account = await limen.features.accounts.get(ada.user_id)
    assert created_at == datetime.fromtimestamp(account.created_at // SECOND, UTC)
    sid = found.pop("sid")
    assert len(bytes.fromhex(sid)) == 16
    assert found == {
        "user_id": ada.user_id,
        "email": "Ada@example.com",
        "scope": "read write",
        "email_verified": False,
    }
    assert response.headers["cache-control"] == "no-store"


async def test_every_sign_in_is_a_session_of_its_own_and_stays_one(ada: Person) -> None:
    first = (await ada.me()).json()["sid"]
    await ada.refresh()
    refreshed = (await ada.me()).json()["sid"]
    await ada.sign_in()

    assert refreshed == first
    assert (await ada.me()).json()["sid"] != first


REFUSED = {
    "no token": ({}, 401, "missing_token", "Bearer"),
    "another scheme": ({"Authorization": "Basic YWRhOmFkYQ=="}, 401, "missing_token", "Bearer"),
    "garbage": ({"Authorization": "Bearer garbage"}, 401, "invalid_token", 'error="invalid_token"'),
    "no token behind the scheme": (
        {"Authorization": "Bearer"},
        400,
        "invalid_request",
        'error="invalid_request"',
    ),
}


@pytest.mark.parametrize(("headers", "status", "code", "challenge"), REFUSED.values(), ids=REFUSED)
async def test_without_a_good_token_it_tells_nothing(
    http: httpx2.AsyncClient, headers: dict[str, str], status: int, code: str, challenge: str
) -> None:
    """RFC 6750, section 3."""
    response = await http.get(ME, headers=headers)

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert challenge in response.headers["www-authenticate"]
    assert ("error" in response.headers["www-authenticate"]) is (code != "missing_token")


async def test_a_refresh_token_is_no_access_token(ada: Person) -> None:
    assert (await ada.me(ada.tokens["refresh_token"])).status_code == 401


async def test_a_token_is_good_until_the_second_it_expires(ada: Person, clock: ManualClock) -> None:
    clock.now -= clock.now % SECOND
    await ada.sign_in()
    clock.tick(1799.999999)
    assert (await ada.me()).status_code == 200
    clock.tick(0.000001)
    assert (await ada.me()).status_code == 401


async def test_a_token_is_not_looked_for_in_cookies_query_or_body(
    ada: Person, stranger: httpx2.AsyncClient
) -> None:
    token = ada.tokens["access_token"]
    cookie = {"Cookie": f"access_token={token}; Authorization=Bearer {token}"}

    assert (await stranger.get(ME, headers=cookie)).status_code == 401
    assert (await stranger.get(ME, params={"access_token": token})).status_code == 401


async def test_without_the_database_a_good_token_stays_good(limen: Limen, ada: Person) -> None:
    """A 401 would make clients throw their tokens away."""
    with moved_away(limen):
        response = await ada.me()

    assert (response.status_code, response.json()["code"]) == (503, "database_unavailable")
    assert (await ada.me()).status_code == 200
