"""POST /revoke, clause by clause (RFC 7009): what /logout does, in the words of OAuth."""

from collections.abc import Callable

import httpx2
import pytest

from limen.events import Event, SessionEnded
from limen.limen import Limen
from tests.clock import ManualClock
from tests.people import AUTH, Person
from tests.stored import moved_away

pytestmark = pytest.mark.anyio

REVOKE = f"{AUTH}/revoke"


async def revoke(person: Person, token: str, **form: str) -> httpx2.Response:
    return await person.http.post(REVOKE, data={"token": token, **form})


@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
@pytest.mark.parametrize("hint", [None, "access_token", "refresh_token", "id_token"])
async def test_revoking_either_token_ends_its_session_whatever_the_hint(
    ada: Person, happened: list[Event], name: str, hint: str | None
) -> None:
    """Section 2.1: both kinds; section 2.2: a hint that is not known is ignored."""
    form = {} if hint is None else {"token_type_hint": hint}
    answer = await revoke(ada, ada.tokens[name], **form)

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["cache-control"] == "no-store"
    assert (await ada.me()).json()["code"] == "invalid_token"
    assert (await ada.refresh()).json()["code"] == "invalid_refresh_token"
    assert [one.reason for one in happened if isinstance(one, SessionEnded)] == ["logout"]


WORTHLESS: dict[str, Callable[[Person], str]] = {
    "garbage": lambda _: "garbage",
    "not ASCII": lambda _: "\0é😀",
    "longer than any token": lambda _: "A" * 8000,
    "forged": lambda ada: ada.tokens["refresh_token"][:-2] + "AA",
    "padded": lambda ada: ada.tokens["access_token"] + "=",
}


async def test_an_invalid_token_is_answered_like_a_good_one_and_ends_nothing(ada: Person) -> None:
    """Section 2.2: its purpose, a token that is worth nothing, is achieved already."""
    for name, token in WORTHLESS.items():
        answer = await revoke(ada, token(ada))
        assert (answer.status_code, answer.content) == (200, b""), name
    assert (await ada.me()).status_code == 200
    assert (await ada.refresh()).status_code == 200


async def test_revoking_twice_is_answered_alike(ada: Person) -> None:
    answers = [await revoke(ada, ada.tokens["refresh_token"]) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]


@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
async def test_an_old_token_still_ends_its_session(
    ada: Person, clock: ManualClock, name: str
) -> None:
    old = ada.tokens[name]
    clock.tick(6 * 86400)
    await ada.refresh()

    assert (await revoke(ada, old)).status_code == 200
    assert (await ada.me()).status_code == 401


async def test_other_devices_stay_signed_in(ada: Person) -> None:
    here = ada.tokens["access_token"]
    await ada.sign_in()

    await revoke(ada, here)

    assert (await ada.me()).status_code == 200


async def test_what_public_clients_send_along_is_ignored(ada: Person) -> None:
    """Section 2.1: they name themselves by `client_id`; and no header is needed or harmful."""
    answer = await ada.http.post(
        REVOKE,
        data={"token": ada.tokens["refresh_token"], "client_id": "my app"},
        headers={"Authorization": "Basic eDp5"},
    )

    assert answer.status_code == 200
    assert (await ada.me()).status_code == 401


async def test_without_the_database_it_is_503_and_nothing_has_ended(
    limen: Limen, ada: Person
) -> None:
    """Section 2.2.1: then the client must assume that the token still exists, and may retry."""
    with moved_away(limen):
        outage = await revoke(ada, ada.tokens["refresh_token"])

    assert (outage.status_code, int(outage.headers["retry-after"]) > 0) == (503, True)
    assert (await ada.me()).status_code == 200
    assert (await revoke(ada, ada.tokens["refresh_token"])).status_code == 200
    assert (await ada.me()).status_code == 401
