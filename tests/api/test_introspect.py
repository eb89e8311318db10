"""POST /introspect, clause by clause (RFC 7662), and what an attacker would ask of it."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from limen.limen import Limen
from limen.settings import Limit, Settings
from tests.people import AUTH, Person, calling_from, somebody
from tests.refusals import CANARY, problem
from tests.services import INACTIVE, INTROSPECT, Service, a_service
from tests.stored import aged, moved_away
from tests.tokens import b64, unb64

pytestmark = pytest.mark.anyio

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, login_address_limit=Limit(20, 900))


@pytest.fixture
async def orders(limen: Limen, http: httpx2.AsyncClient) -> Service:
    return await a_service(limen, http)


def claims(token: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(unb64(token.split(".")[1]))
    return found


def forged(token: str, **changes: object) -> str:
    """Return the token with other claims under the same signature."""
    header, _, signature = token.split(".")
    return f"{header}.{b64(json.dumps(claims(token) | changes).encode())}.{signature}"


async def test_an_active_access_token_is_told_as_it_speaks(
    limen: Limen, http: httpx2.AsyncClient, orders: Service
) -> None:
    """Section 2.2: the members are those of the token itself, and no other."""
    grace = await somebody(limen, http, "grace@example.com", scope="orders:write billing")
    await limen.features.accounts.change(grace.user_id, "email_verified", verified_at=1)
    await limen.features.accounts.set_access(grace.user_id, roles="author editor")
    await grace.refresh()
    token = grace.tokens["access_token"]
    said = claims(token)
    answer = await orders.introspect(token)

    names = ("exp", "iat", "nbf", "sub", "aud", "iss", "jti", "sid", "cv", "type")
    assert answer.json() == {
        "active": True,
        "scope": "billing orders:write",
        "roles": ["author", "editor"],
        "email_verified": True,
        "token_type": "Bearer",
        **{name: said[name] for name in names},
    }
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


async def test_an_active_refresh_token_is_told_without_what_would_open_a_route(
    ada: Person, orders: Service
) -> None:
    token = ada.tokens["refresh_token"]
    said, sid = claims(token), claims(ada.tokens["access_token"])["sid"]
    answer = (await orders.introspect(token)).json()

    names = ("exp", "iat", "sub", "aud", "iss", "type")
    told = {name: said[name] for name in names}
    assert answer == {"active": True, **told, "sid": sid, "cv": 1}
    assert said["fid"] not in str(answer)


async def test_no_scope_and_no_role_is_no_member_and_an_unverified_address_is_said_to_be(
    ada: Person, orders: Service
) -> None:
    told = (await orders.introspect(ada.tokens["access_token"])).json()

    assert not {"scope", "roles"} & told.keys()
    assert told["email_verified"] is False


async def test_a_hint_changes_nothing(ada: Person, orders: Service) -> None:
    """Section 2.1: a wrong hint must not keep a token from being found."""
    for token in (ada.tokens["access_token"], ada.tokens["refresh_token"], "x"):
        unhinted = (await orders.introspect(token)).content
        for hint in ("access_token", "refresh_token", "id_token", "", "\0é", "x" * 99):
            assert (await orders.introspect(token, token_type_hint=hint)).content == unhinted


async def test_members_that_only_others_know_are_ignored(ada: Person, orders: Service) -> None:
    """RFC 6749, section 3.2: parameters that are not known must be ignored."""
    extra = {"client_id": "x", "resource": "https://orders.example"}
    assert (await orders.introspect(ada.tokens["access_token"], **extra)).json()["active"]


WORTHLESS: dict[str, Callable[[Person], str]] = {
    "a letter": lambda _: "x",
    "a space": lambda _: " ",
    "NUL": lambda _: "\0",
    "not ASCII": lambda _: "😀",
    "dots": lambda _: "..",
    "no JSON": lambda _: "a.b.c",
    "longer than any token": lambda _: "A" * 8000,
    "alg none": lambda _: "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.e30.AA",
    "unsigned": lambda ada: ada.tokens["access_token"].rpartition(".")[0] + ".",
    "more scope": lambda ada: forged(ada.tokens["access_token"], scope="admin"),
    "a longer life": lambda ada: forged(ada.tokens["access_token"], exp=2**40),
    "a later generation": lambda ada: forged(ada.tokens["refresh_token"], gen=1),
    "a space behind": lambda ada: ada.tokens["access_token"] + " ",
    "padded": lambda ada: ada.tokens["refresh_token"] + "=",
    "with its scheme": lambda ada: f"Bearer {ada.tokens['access_token']}",
    "both tokens": lambda ada: f"{ada.tokens['access_token']}.{ada.tokens['refresh_token']}",
}


async def test_whatever_is_worthless_is_answered_in_the_same_bytes(
    ada: Person, orders: Service
) -> None:
    """Section 2.2: nothing but `active`, so that nobody learns why."""
    for name, token in WORTHLESS.items():
        answer = await orders.introspect(token(ada))
        assert (answer.status_code, answer.content) == (200, INACTIVE), name
    await ada.log_out()
    for kind in ("access_token", "refresh_token"):
        assert (await orders.introspect(ada.tokens[kind])).content == INACTIVE


async def test_without_credentials_it_is_no_oracle(ada: Person, orders: Service) -> None:
    """Section 2.1: good, worthless and missing tokens look alike to whoever is not a client."""
    tokens = ada.tokens["access_token"], ada.tokens["refresh_token"], "garbage"
    unknown = orders.basic(client_id="0" * 32)
    for headers in ({}, ada.bearer(), orders.basic(secret="wrong"), unknown):
        answers = [
            await orders.http.post(INTROSPECT, data={"token": token}, headers=headers)
            for token in tokens
        ]
        answers.append(await orders.http.post(INTROSPECT, content=b"%", headers=headers))
        assert {answer.status_code for answer in answers} == {401}
        assert len({answer.content for answer in answers}) == 1


async def test_a_deleted_client_is_refused_at_once(
    ada: Person, limen: Limen, twin: Limen, orders: Service
) -> None:
    token = ada.tokens["access_token"]
    assert (await orders.introspect(token)).json()["active"]
    await twin.features.credentials.delete(orders.client_id)

    answer = await orders.introspect(token)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert limen.features.memory.revocations.is_fresh


async def test_guessing_is_limited_by_address_and_keeps_no_service_out(
    ada: Person, limen: Limen, orders: Service
) -> None:
    async with calling_from(limen, "198.51.100.9") as elsewhere:
        thief = replace(orders, http=elsewhere, secret="guess")
        answers = [await thief.introspect(ada.tokens["access_token"]) for _ in range(21)]
        neighbour = await replace(orders, http=elsewhere).introspect("x")

    assert [answer.status_code for answer in answers] == [401] * 20 + [429]
    last = answers[-1]
    document = problem(429, last.headers, last.content, expected={429})
    assert (document["code"], document["error"]) == ("too_many_attempts", "invalid_client")
    assert last.headers["ratelimit-policy"] == '"client-address";q=20;w=900'
    assert int(last.headers["retry-after"]) == 900
    assert neighbour.content == INACTIVE


async def test_what_is_not_known_well_enough_is_503(
    limen: Limen, ada: Person, orders: Service
) -> None:
    """Section 2.2 has no word for "perhaps": the service is to ask again."""
    async with aged(limen, 3600):
        stale = await orders.introspect(ada.tokens["access_token"])
    with moved_away(limen):
        outage = await orders.introspect(ada.tokens["refresh_token"])

    assert (stale.status_code, stale.json()["code"]) == (503, "revocations_stale")
    assert (outage.status_code, outage.json()["code"]) == (503, "database_unavailable")
    for answer in (stale, outage):
        assert int(answer.headers["retry-after"]) > 0
        assert "error" not in answer.json()
        assert "active" not in answer.json()


BAD_FORMS = {
    "empty": b"",
    "no token": b"token_type_hint=access_token",
    "empty token": b"token=",
    "another name": b"access_token=" + CANARY.encode(),
    "token twice": b"token=a&token=" + CANARY.encode(),
    "token twice, alike": b"token=a&token=a",
    "token twice, escaped": b"token=a&%74oken=" + CANARY.encode(),
    "hint twice": b"token=a&token_type_hint=b&token_type_hint=c",
    "another field twice": b"token=a&x=1&x=2",
    "no UTF-8": b"token=%ff" + CANARY.encode(),
    "raw bytes": b"token=\xff",
    "no equals sign": b"token",
    "empty pair": b"token=a&&x=1",
    "17 fields": b"token=a&" + b"&".join(b"f%d=1" % n for n in range(16)),
    "JSON": b'{"token":"a"}',
}


@pytest.mark.parametrize("path", ["introspect", "revoke"])
async def test_a_malformed_form_is_a_problem_with_the_code_of_oauth(
    orders: Service, path: str
) -> None:
    """RFC 6749, sections 3.2 and 5.2: no parameter twice; 400 and `error`."""
    headers = {**orders.basic(), "Content-Type": FORM}
    for body in BAD_FORMS.values():
        answer = await orders.http.post(f"{AUTH}/{path}", content=body, headers=headers)
        document = problem(answer.status_code, answer.headers, answer.content, expected={400})
        assert (document["code"], document["error"]) == ("invalid_request", "invalid_request")


@pytest.mark.parametrize("path", ["introspect", "revoke"])
async def test_only_a_form_is_read(ada: Person, orders: Service, path: str) -> None:
    token = f"token={ada.tokens['access_token']}".encode()
    for media_type in ("", "application/json", "multipart/form-data; boundary=x", "text/plain"):
        headers = {**orders.basic(), "Content-Type": media_type}
        answer = await orders.http.post(f"{AUTH}/{path}", content=token, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert (await ada.me()).status_code == 200


@pytest.mark.parametrize("path", ["introspect", "revoke"])
async def test_a_body_that_is_too_large_is_refused_before_anybody_is_looked_up(
    limen: Limen, orders: Service, path: str
) -> None:
    form = {"token": "A" * 16 * 1024}
    with moved_away(limen):
        answer = await orders.http.post(f"{AUTH}/{path}", data=form, headers=orders.basic())

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert answer.json()["error"] == "invalid_request"


@pytest.mark.parametrize("path", ["introspect", "revoke"])
async def test_get_is_refused_and_a_token_in_the_address_is_not_looked_at(
    ada: Person, orders: Service, path: str
) -> None:
    query = {"token": ada.tokens["access_token"]}
    got = await orders.http.get(f"{AUTH}/{path}", params=query, headers=orders.basic())
    posted = await orders.http.post(f"{AUTH}/{path}", params=query, headers=orders.basic())

    assert (got.status_code, got.headers["allow"]) == (405, "POST")
    assert posted.status_code == 400
    assert (await ada.me()).status_code == 200
