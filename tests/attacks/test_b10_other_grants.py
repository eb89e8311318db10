"""B10, CVE-2026-9798 and CVE-2026-16103 (Keycloak): other grants did not know that one was locked.

Whatever was handed out before is looked at when it is used: a disabled account gets nothing from
any of it. The limit on guesses is another matter. It stops guesses, and must not sign its owner
out, or else anybody could.
"""

from collections.abc import Awaitable, Callable

import httpx2
import pytest

from limen.limen import Limen
from tests.people import AUTH, Person, attempt, guess

pytestmark = pytest.mark.anyio

KEY = "0123456789abcdef"


async def by_form(ada: Person) -> httpx2.Response:
    form = {"username": ada.email, "password": ada.password, "grant_type": "password"}
    return await ada.http.post(f"{AUTH}/login", data=form)


# Given Ada, who has refreshed once, and the token that she refreshed.
Grant = Callable[[Person, str], Awaitable[httpx2.Response]]
GRANTS: dict[str, Grant] = {
    "password": lambda ada, _: ada.sign_in(),
    "password, by form": lambda ada, _: by_form(ada),
    "refresh": lambda ada, _: ada.refresh(),
    "refresh, keyed": lambda ada, _: ada.refresh(key="fedcba9876543210"),
    "refresh, asked again": lambda ada, used: ada.refresh(used, KEY),
    "access token": lambda ada, _: ada.me(),
}


@pytest.fixture
async def used(ada: Person) -> str:
    token: str = ada.tokens["refresh_token"]
    assert (await ada.refresh(key=KEY)).status_code == 200
    return token


@pytest.mark.parametrize("grant", GRANTS.values(), ids=GRANTS)
async def test_every_grant_is_good_before(ada: Person, used: str, grant: Grant) -> None:
    assert (await grant(ada, used)).status_code == 200


@pytest.mark.parametrize("grant", GRANTS.values(), ids=GRANTS)
async def test_a_disabled_account_gets_nothing_from_any_grant(
    limen: Limen, ada: Person, used: str, grant: Grant
) -> None:
    await limen.features.accounts.disable(ada.user_id)

    assert (await grant(ada, used)).status_code == 401


async def test_used_up_guesses_stop_guesses_and_nothing_else(
    ada: Person, stranger: httpx2.AsyncClient
) -> None:
    for _ in range(6):
        locked = await guess(stranger, ada.email)

    assert locked.status_code == 429
    assert (await ada.me()).status_code == 200
    assert (await ada.refresh()).status_code == 200
    assert (await ada.log_out()).status_code == 204


async def test_no_other_grant_gives_guesses_back(ada: Person, stranger: httpx2.AsyncClient) -> None:
    for _ in range(5):
        await guess(stranger, ada.email)
    await ada.refresh()
    await ada.me()
    await ada.sign_in()
    await ada.log_out()

    assert (await attempt(stranger, ada.email)).status_code == 429
