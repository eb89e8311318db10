"""S11: a session that an attacker prepared, or shares, with the one who then signs in."""

from typing import Any

import jwt
import pytest

from limen.limen import Limen
from tests.people import AUTH, Person, somebody

pytestmark = pytest.mark.anyio


def session_of(tokens: dict[str, Any]) -> tuple[str, str]:
    """The sid of the access token and the fid of the refresh token."""
    access = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    refresh = jwt.decode(tokens["refresh_token"], options={"verify_signature": False})
    return access["sid"], refresh["fid"]


@pytest.mark.parametrize("member", ["sid", "fid", "session", "session_id", "jti", "gen"])
@pytest.mark.parametrize("route", ["login", "refresh", "logout"])
async def test_no_route_takes_a_session_from_the_client(
    ada: Person, route: str, member: str
) -> None:
    bodies = {
        "login": {"email": ada.email, "password": ada.password},
        "refresh": {"refresh_token": ada.tokens["refresh_token"]},
        "logout": {"refresh_token": ada.tokens["refresh_token"]},
    }
    body = bodies[route] | {member: "f" * 32}

    answer = await ada.http.post(f"{AUTH}/{route}", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert (await ada.me()).status_code == 200


async def test_every_sign_in_starts_a_session_of_its_own(ada: Person) -> None:
    seen = [session_of(ada.tokens)]
    for _ in range(5):
        # Whatever the client holds from before is shown, and changes nothing.
        await ada.sign_in(**ada.bearer(), Cookie=f"sid={seen[0][0]}; session={seen[0][0]}")
        seen.append(session_of(ada.tokens))

    assert len({sid for sid, _ in seen}) == len({fid for _, fid in seen}) == 6


async def test_a_refresh_stays_in_its_session(ada: Person) -> None:
    before = session_of(ada.tokens)
    await ada.refresh()

    assert session_of(ada.tokens) == before


async def test_another_accounts_sign_in_does_not_reach_a_prepared_session(
    limen: Limen, ada: Person
) -> None:
    prepared = ada.tokens
    victim = await somebody(limen, ada.http, "victim@example.com")

    assert session_of(victim.tokens) != session_of(prepared)
    assert (await ada.me(prepared["access_token"])).json()["user_id"] == ada.user_id
    assert (await victim.me()).json()["user_id"] == victim.user_id
