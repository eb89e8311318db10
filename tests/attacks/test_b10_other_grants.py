"""B10, CVE-2026-9798 and CVE-2026-16103 (Keycloak): other grants did not know that one was locked.

Whatever was handed out before is looked at when it is used: a disabled account gets nothing from
any of it, nor is it changed by a code that was mailed to it before. The limit on guesses, and the
lock after a hundred of them, are another matter. They stop guesses, and must not sign its owner
out, or else anybody could.
"""

from collections.abc import Awaitable, Callable

import httpx2
import pytest

from limen.codes import Code
from limen.events import Purpose
from limen.limen import Limen
from tests.people import AUTH, PASSWORD, Person, attempt, guess, has_failed, reset
from tests.test_codes import issued

pytestmark = pytest.mark.anyio

KEY = "0123456789abcdef"
NEW = "quite another staple battery"


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


# Given Ada and the codes that were mailed to her: every other way to use what she has.
Way = Callable[[Person, dict[str, Code]], Awaitable[httpx2.Response]]


def post(ada: Person, path: str, **body: str) -> Awaitable[httpx2.Response]:
    return ada.http.post(f"{AUTH}/{path}", json=body)


def post_signed_in(ada: Person, path: str, **body: str) -> Awaitable[httpx2.Response]:
    return ada.http.post(f"{AUTH}/{path}", json=body, headers=ada.bearer())


WAYS: dict[str, Way] = {
    "reset": lambda ada, codes: reset(ada.http, codes["reset"].token, NEW),
    "reset, by digits": lambda ada, codes: reset(ada.http, codes["reset"].digits, NEW, ada.email),
    "verify": lambda ada, codes: post(
        ada, "email/verify/confirm", code=codes["verify"].token, password=PASSWORD
    ),
    "verify, from a session": lambda ada, codes: post_signed_in(
        ada, "email/verify/confirm", code=codes["verify"].token
    ),
    "another address": lambda ada, codes: post(
        ada, "email/change/confirm", code=codes["email_change"].token, password=PASSWORD
    ),
    "another address, from a session": lambda ada, codes: post_signed_in(
        ada, "email/change/confirm", code=codes["email_change"].token
    ),
    "change": lambda ada, _: ada.change_password(NEW),
    "delete": lambda ada, _: ada.delete_me(),
}


@pytest.fixture
async def codes(limen: Limen, ada: Person) -> dict[str, Code]:
    account = await limen.features.accounts.get(ada.user_id)
    purposes: list[Purpose] = ["verify", "reset", "email_change"]
    return {purpose: await issued(limen, account, purpose) for purpose in purposes}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_every_other_way_is_good_before(
    ada: Person, codes: dict[str, Code], way: Way
) -> None:
    assert (await way(ada, codes)).status_code == 204


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_a_disabled_account_is_changed_in_no_way(
    limen: Limen, ada: Person, codes: dict[str, Code], way: Way
) -> None:
    await limen.features.accounts.disable(ada.user_id)
    disabled = await limen.features.accounts.get(ada.user_id)

    assert (await way(ada, codes)).status_code in {400, 401}
    assert await limen.features.accounts.get(ada.user_id) == disabled


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_a_locked_account_is_changed_with_a_code_or_from_a_known_device_alone(
    limen: Limen, ada: Person, codes: dict[str, Code], way: Way
) -> None:
    """Whoever has its access token, and knows its password even, but calls from elsewhere."""
    await has_failed(limen, ada.user_id, 100)
    ada.http.cookies.clear()
    asks_for_the_password = way in {WAYS[name] for name in BY_PASSWORD}

    assert (await way(ada, codes)).status_code in ({401, 403} if asks_for_the_password else {204})


BY_PASSWORD = ["verify", "another address", "change", "delete"]


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
