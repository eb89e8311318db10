"""POST /login, as a client sees it."""

import re
from collections.abc import Mapping
from dataclasses import replace

import httpx2
import pytest

from limen.database.schema import rate_limits, sessions
from limen.devices import LIFETIME
from limen.events import Event, HashingRefused, SignIn
from limen.limen import Limen
from limen.settings import Settings
from tests.clock import ManualClock
from tests.crowds import hashes
from tests.people import AUTH, PASSWORD, Person, attempt, calling_from, guess, somebody
from tests.stored import rows
from tests.structured_fields import Member, parse

pytestmark = pytest.mark.anyio

LOGIN = f"{AUTH}/login"
FORM = "application/x-www-form-urlencoded"
ADA = "ada@example.com"


async def test_json_signs_in(ada: Person, stranger: httpx2.AsyncClient) -> None:
    response = await stranger.post(LOGIN, json={"email": ada.email, "password": PASSWORD})

    assert response.status_code == 200
    tokens = response.json()
    access, refresh = tokens.pop("access_token"), tokens.pop("refresh_token")
    assert tokens == {"token_type": "Bearer", "expires_in": 1800, "refresh_expires_in": 604800}
    assert response.headers["cache-control"] == "no-store"
    assert (await ada.me(access)).json()["user_id"] == ada.user_id
    assert (await ada.refresh(refresh)).status_code == 200


@pytest.mark.parametrize(
    "more",
    [{}, {"grant_type": "password", "scope": "", "client_id": "", "client_secret": ""}],
    ids=["alone", "as /docs sends it"],
)
async def test_a_form_signs_in(
    ada: Person, stranger: httpx2.AsyncClient, more: Mapping[str, str]
) -> None:
    form = {"username": ada.email, "password": PASSWORD, **more}
    response = await stranger.post(LOGIN, data=form)

    assert response.status_code == 200
    assert (await ada.me(response.json()["access_token"])).status_code == 200


async def test_a_form_may_not_ask_for_a_scope_that_the_account_has_not(
    ada: Person, stranger: httpx2.AsyncClient
) -> None:
    form = {"username": ada.email, "password": PASSWORD, "scope": "admin"}
    access = (await stranger.post(LOGIN, data=form)).json()["access_token"]

    assert (await ada.me(access)).json()["scope"] == ""


async def test_both_bodies_are_counted_and_refused_alike(
    ada: Person, stranger: httpx2.AsyncClient
) -> None:
    form = {"username": ada.email, "password": "not the password"}
    by_form = [await stranger.post(LOGIN, data=form) for _ in range(3)]
    by_json = [await guess(stranger, ada.email) for _ in range(3)]

    assert [one.status_code for one in by_form + by_json] == [401] * 5 + [429]
    assert by_form[0].content == by_json[0].content


async def test_the_tokens_are_in_no_cookie_and_in_no_header(
    ada: Person, stranger: httpx2.AsyncClient
) -> None:
    response = await attempt(stranger, ada.email)

    headers = str(response.headers.raw)
    assert not any(
        token in headers
        for token in response.json().values()
        if isinstance(token, str) and len(token) > 10
    )
    assert set(stranger.cookies) == {"limen_device"}


async def test_the_device_cookie_is_out_of_reach_of_scripts_and_other_sites(
    ada: Person, stranger: httpx2.AsyncClient
) -> None:
    response = await attempt(stranger, ada.email)

    name, *attributes = response.headers["set-cookie"].lower().split("; ")
    assert name.startswith("limen_device=")
    assert set(attributes) == {"httponly", "samesite=lax", "path=/", f"max-age={LIFETIME}"}


class TestBehindHttps:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(
            settings,
            public_url="https://login.example.com",
        )

    async def test_the_device_cookie_travels_over_https_alone(
        self, ada: Person, stranger: httpx2.AsyncClient
    ) -> None:
        response = await attempt(stranger, ada.email)

        assert "secure" in response.headers["set-cookie"].lower().split("; ")


BAD_BODIES: dict[str, tuple[str, bytes]] = {
    "no body": ("application/json", b""),
    "no JSON": ("application/json", b"{"),
    "a list": ("application/json", b"[]"),
    "a string": ("application/json", b'"ada@example.com"'),
    "null": ("application/json", b"null"),
    "no members": ("application/json", b"{}"),
    "no password": ("application/json", b'{"email": "ada@example.com"}'),
    "no e-mail": ("application/json", b'{"password": "secret word"}'),
    "a mistyped member": ("application/json", b'{"email": "a@example.com", "pasword": "secret"}'),
    "an unknown member": (
        "application/json",
        b'{"email": "ada@example.com", "password": "secret word", "is_admin": true}',
    ),
    "a doubled member": (
        "application/json",
        b'{"email": "eve@example.com", "email": "ada@example.com", "password": "secret word"}',
    ),
    "a number": ("application/json", b'{"email": "ada@example.com", "password": 12345678}'),
    "a null member": ("application/json", b'{"email": "ada@example.com", "password": null}'),
    "a nested one": ("application/json", b'{"email": {"a": "b"}, "password": "secret word"}'),
    "NUL": ("application/json", b'{"email": "ada@example.com", "password": "secret\\u0000word"}'),
    "NUL in the e-mail": ("application/json", b'{"email": "ada\\u0000", "password": "secret"}'),
    "a lone surrogate": (
        "application/json",
        b'{"email": "ada@example.com", "password": "\\ud800"}',
    ),
    "not UTF-8": ("application/json", b'{"email": "ada@example.com", "password": "\xff\xfe"}'),
    "UTF-16": ("application/json", '{"email": "a@b.c", "password": "secret"}'.encode("utf-16")),
    "deep": ("application/json", b'{"email": ' + b"[" * 5000 + b"]" * 5000 + b"}"),
    "a long e-mail": (
        "application/json",
        b'{"email": "' + b"a" * 321 + b'", "password": "secret word"}',
    ),
    "a long password": (
        "application/json",
        b'{"email": "ada@example.com", "password": "' + b"a" * 257 + b'"}',
    ),
    "JSON as text": ("text/plain", b'{"email": "ada@example.com", "password": "secret word"}'),
    "JSON as nothing": ("", b'{"email": "ada@example.com", "password": "secret word"}'),
    "multipart": ("multipart/form-data; boundary=x", b"--x--"),
    "a form with JSON's names twice": (FORM, b"username=ada&username=eve&password=secret"),
    "a form with both names": (FORM, b"username=ada&email=eve&password=secret"),
    "a form with an unknown field": (FORM, b"username=ada&password=secret&is_admin=true"),
    "a form with many fields": (FORM, b"&".join(b"f%d=1" % n for n in range(100))),
    "a form without a password": (FORM, b"username=ada"),
    "a form with NUL": (FORM, b"username=ada&password=a%00b"),
}


@pytest.mark.parametrize(("media_type", "body"), BAD_BODIES.values(), ids=BAD_BODIES)
async def test_a_bad_body_is_refused_without_a_trace(
    limen: Limen,
    stranger: httpx2.AsyncClient,
    happened: list[Event],
    media_type: str,
    body: bytes,
) -> None:
    happened.clear()
    headers = {"Content-Type": media_type} if media_type else {}
    response = await stranger.post(LOGIN, content=body, headers=headers)

    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "invalid_request"
    assert not re.search(r"secret|ada@|eve|pasword|is_admin", response.text)  # nothing is echoed
    assert await rows(limen, rate_limits) == []
    assert await rows(limen, sessions) == []
    assert hashes(happened) == 0


async def test_a_body_over_16_kib_is_refused(stranger: httpx2.AsyncClient) -> None:
    body = b'{"email": "ada@example.com", "password": "' + b"a" * 17_000 + b'"}'
    response = await stranger.post(
        LOGIN, content=body, headers={"Content-Type": "application/json"}
    )

    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("body", [b"{", b'{"email":"ada@example.com","password":"wrong"}'])
async def test_with_a_full_hashing_queue_it_is_refused_before_anything_is_made_of_the_body(
    limen: Limen, stranger: httpx2.AsyncClient, happened: list[Event], body: bytes
) -> None:
    """In a flood each step that is not taken is time for somebody else's hash."""
    limen.features.room._queue_time = -1.0  # whoever comes would wait longer
    happened.clear()
    answer = await stranger.post(LOGIN, content=body, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (503, "busy")
    assert int(answer.headers["Retry-After"]) > 0
    assert happened == [HashingRefused(first=True), SignIn("busy")]


@pytest.mark.parametrize("email", [ADA, "nobody@example.com", "nobody"])
async def test_a_client_can_read_when_to_come_again(
    limen: Limen, ada: Person, clock: ManualClock, email: str
) -> None:
    """RFC 9110 section 10.2.3, and the RateLimit fields, which are structured (RFC 9651)."""
    assert ada.email == ADA
    async with calling_from(limen, "198.51.100.7") as stranger:
        for _ in range(5):
            await guess(stranger, email)
        clock.tick(100.5)
        refused = await guess(stranger, email)
        wait = int(refused.headers["retry-after"])

        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_attempts")
        assert refused.json()["violated-policies"] == ["login"]
        assert parse(refused.headers["ratelimit"]) == [Member("login", {"r": 0, "t": wait})]
        assert parse(refused.headers["ratelimit-policy"]) == [Member("login", {"q": 5, "w": 900})]
        assert wait == 800
        clock.tick(wait - 0.6)
        assert (await guess(stranger, email)).headers["retry-after"] == "1"
        clock.tick(0.6)
        assert (await guess(stranger, email)).status_code == 401


@pytest.mark.parametrize(
    "token",
    [b"", b" ", b"x" * 5000, b"\xe9", b"\xff\xfe", b"a.b.c", b'"; drop', b"a\0b"],
    ids=lambda token: repr(token[:8]),
)
async def test_a_spoilt_device_token_does_no_harm(
    ada: Person, stranger: httpx2.AsyncClient, token: bytes
) -> None:
    body = {"email": ada.email, "password": PASSWORD}
    for headers in ([(b"Limen-Device", token)], [(b"Cookie", b"limen_device=" + token)]):
        stranger.cookies.clear()
        response = await stranger.post(LOGIN, json=body, headers=headers)

        assert response.status_code == 200
        assert "limen-device" in response.headers


async def test_an_access_token_or_basic_credentials_change_nothing(
    ada: Person, stranger: httpx2.AsyncClient
) -> None:
    for header in ("Bearer garbage", "Basic YWRhOmFkYQ==", ada.bearer()["Authorization"]):
        assert (await attempt(stranger, ada.email, Authorization=header)).status_code == 200
        assert (await guess(stranger, "bob@example.com", Authorization=header)).status_code == 401


async def test_two_people_at_one_client_get_their_own_tokens(
    limen: Limen, stranger: httpx2.AsyncClient
) -> None:
    """The second's device cookie takes the place of the first's, who is a stranger then."""
    ada = await somebody(limen, stranger)
    bob = await somebody(limen, stranger, "bob@example.com")

    assert (await ada.me()).json()["email"] == ada.email
    assert (await bob.me()).json()["email"] == bob.email
    assert "limen-device" in (await ada.sign_in()).headers
