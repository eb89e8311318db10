"""POST /logout: the session ends at once, for all its tokens, and nobody learns more than that."""

from collections.abc import Callable

import httpx2
import pytest

from limen.clock import SECOND
from limen.limen import Limen
from tests.clock import ManualClock
from tests.people import AUTH, Person
from tests.stored import moved_away

pytestmark = pytest.mark.anyio


async def log_out(
    person: Person, *, refresh_token: str | None = None, access_token: str | None = None
) -> httpx2.Response:
    """Sign out with these tokens and no others."""
    body = {"refresh_token": refresh_token} if refresh_token else None
    headers = person.bearer(access_token) if access_token else {}
    return await person.http.post(f"{AUTH}/logout", json=body, headers=headers)


@pytest.mark.parametrize(
    "shown", [{"refresh_token"}, {"access_token"}, {"refresh_token", "access_token"}]
)
async def test_signing_out_ends_every_token_of_the_session(ada: Person, shown: set[str]) -> None:
    earlier = ada.tokens
    await ada.refresh()

    answer = await log_out(ada, **{name: ada.tokens[name] for name in shown})

    assert (answer.status_code, answer.content) == (204, b"")
    assert (await ada.refresh()).status_code == 401
    assert (await ada.me()).status_code == 401
    assert (await ada.me(earlier["access_token"])).json()["code"] == "invalid_token"


async def test_signing_out_here_leaves_the_other_devices_signed_in(ada: Person) -> None:
    here = ada.tokens
    await ada.sign_in()

    await log_out(ada, refresh_token=here["refresh_token"])

    assert (await ada.me()).status_code == 200
    assert (await ada.refresh()).status_code == 200


async def test_tokens_of_two_sessions_end_both(ada: Person) -> None:
    one = ada.tokens
    await ada.sign_in()
    other = ada.tokens

    await log_out(ada, refresh_token=one["refresh_token"], access_token=other["access_token"])

    assert [(await ada.me(pair["access_token"])).status_code for pair in (one, other)] == [401, 401]


async def test_a_used_refresh_token_signs_out_as_well(ada: Person) -> None:
    used = ada.tokens["refresh_token"]
    await ada.refresh()

    await log_out(ada, refresh_token=used)

    assert (await ada.me()).status_code == 401


@pytest.mark.parametrize("name", ["refresh_token", "access_token"])
async def test_an_expired_token_still_signs_out(ada: Person, clock: ManualClock, name: str) -> None:
    first = ada.tokens
    clock.tick(6 * 86400)
    await ada.refresh()
    clock.tick(2 * 86400)

    answer = await log_out(ada, **{name: first[name]})

    assert answer.status_code == 204
    assert (await ada.refresh()).status_code == 401


WORTHLESS: dict[str, Callable[[Person], dict[str, str]]] = {
    "garbage in the body": lambda _: {"refresh_token": "garbage"},
    "garbage as bearer": lambda _: {"access_token": "garbage"},
    "forged": lambda ada: {"refresh_token": ada.tokens["refresh_token"][:-2] + "AA"},
    "the wrong way round": lambda ada: {"refresh_token": ada.tokens["access_token"]},
    "the other wrong way": lambda ada: {"access_token": ada.tokens["refresh_token"]},
}


@pytest.mark.parametrize("tokens", WORTHLESS.values(), ids=WORTHLESS)
async def test_a_worthless_token_ends_nothing_and_is_answered_alike(
    ada: Person, tokens: Callable[[Person], dict[str, str]]
) -> None:
    answer = await log_out(ada, **tokens(ada))

    assert (answer.status_code, answer.content) == (204, b"")
    assert (await ada.me()).status_code == 200


async def test_signing_out_twice_is_answered_alike(ada: Person) -> None:
    answers = [await log_out(ada, refresh_token=ada.tokens["refresh_token"]) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [204] * 3


async def test_signing_out_without_any_token_is_a_mistake(ada: Person) -> None:
    assert (await log_out(ada)).json()["code"] == "invalid_request"


async def test_two_authorization_headers_are_a_mistake(ada: Person) -> None:
    bearer = f"Bearer {ada.tokens['access_token']}".encode()
    headers = [(b"authorization", bearer), (b"authorization", bearer)]

    answer = await ada.http.post(f"{AUTH}/logout", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert (await ada.me()).status_code == 200


async def test_without_the_database_signing_out_is_503_and_works_afterwards(
    limen: Limen, ada: Person
) -> None:
    with moved_away(limen):
        outage = await ada.log_out()
        assert (await ada.me()).status_code in {200, 503}  # not 401: the session goes on

    assert (outage.status_code, int(outage.headers["Retry-After"]) > 0) == (503, True)
    assert (await ada.me()).status_code == 200
    assert (await ada.log_out()).status_code == 204
    assert (await ada.me()).status_code == 401


async def test_the_end_is_remembered_as_long_as_an_access_token_can_live(
    limen: Limen, ada: Person, clock: ManualClock
) -> None:
    await ada.log_out()
    for seconds in (0, 899, 900, 1):
        clock.tick(seconds)
        limen.features.log.forget_expired()
        assert (await ada.me()).status_code == 401, clock.now // SECOND
