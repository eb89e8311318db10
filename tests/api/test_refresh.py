"""POST /refresh, as a client on the wire sees it."""

import asyncio
from collections import Counter
from collections.abc import Callable

import httpx2
import pytest

from limen.events import Event, Refreshed, SessionEnded
from limen.limen import Limen
from tests.people import AUTH, Person, somebody

pytestmark = pytest.mark.anyio

AT_ONCE = 100


async def all_at_once(person: Person, keys: list[str | None]) -> list[httpx2.Response]:
    """Present one token as often as there are keys, at the same time."""
    token = person.tokens["refresh_token"]
    return await asyncio.gather(*(person.refresh(token, key) for key in keys))


async def test_of_many_bare_refreshes_one_succeeds_and_the_session_ends(
    limen: Limen, wire: httpx2.AsyncClient, happened: list[Event]
) -> None:
    ada = await somebody(limen, wire)

    answers = await all_at_once(ada, [None] * AT_ONCE)

    counted = Counter(answer.status_code for answer in answers)
    print(f"\n{AT_ONCE} bare refreshes at once: {dict(counted)}")
    assert counted == {200: 1, 401: AT_ONCE - 1}
    assert (await ada.refresh()).status_code == 401
    assert (await ada.me()).status_code == 401
    assert sum(isinstance(event, SessionEnded) for event in happened) == 1


async def test_many_refreshes_with_one_key_get_one_successor(
    limen: Limen, wire: httpx2.AsyncClient, happened: list[Event]
) -> None:
    ada = await somebody(limen, wire)

    answers = await all_at_once(ada, ["key-of-one-refresh"] * AT_ONCE)

    successors = {answer.json()["refresh_token"] for answer in answers}
    outcomes = Counter(event.outcome for event in happened if isinstance(event, Refreshed))
    print(f"\n{AT_ONCE} refreshes with one key at once: {dict(outcomes)}, {len(successors)} token")
    assert len(successors) == 1
    assert outcomes == {"rotated": 1, "same_successor": AT_ONCE - 1}
    assert (await ada.refresh()).status_code == 200


async def test_of_many_refreshes_with_keys_of_their_own_one_succeeds_and_nothing_ends(
    limen: Limen, wire: httpx2.AsyncClient
) -> None:
    ada = await somebody(limen, wire)

    answers = await all_at_once(ada, [f"key-of-a-tab-{number:03}" for number in range(AT_ONCE)])

    counted = Counter(answer.status_code for answer in answers)
    print(f"\n{AT_ONCE} refreshes with keys of their own at once: {dict(counted)}")
    assert counted == {200: 1, 409: AT_ONCE - 1}
    assert (await ada.me()).status_code == 200
    assert (await ada.refresh()).status_code == 200


async def test_the_answer_is_a_token_pair_that_nobody_may_keep(ada: Person) -> None:
    answer = await ada.refresh()

    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json().keys() == {
        "access_token",
        "token_type",
        "expires_in",
        "refresh_token",
        "refresh_expires_in",
    }
    assert answer.json()["token_type"] == "Bearer"
    assert (answer.json()["expires_in"], answer.json()["refresh_expires_in"]) == (1800, 604800)


async def test_superseded_tells_a_tab_what_to_do_and_carries_no_token(ada: Person) -> None:
    used = ada.tokens["refresh_token"]
    await ada.refresh(used, "key-of-this-tab-1")

    answer = await ada.refresh(used, "key-of-that-tab-2")

    assert answer.status_code == 409
    assert answer.json()["code"] == "refresh_superseded"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "token" not in answer.json()


GOOD_KEYS = ["k" * 16, "k" * 64, "!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~", "550e8400-e29b-41d4-a716-4466"]

BAD_KEYS: dict[str, list[bytes]] = {
    "empty": [b""],
    "15 characters": [b"k" * 15],
    "65 characters": [b"k" * 65],
    "a space within": [b"k" * 10 + b" " + b"k" * 10],
    "a tab within": [b"k" * 10 + b"\t" + b"k" * 10],
    "Latin-1": [b"k" * 15 + b"\xe9"],
    "UTF-8": [b"k" * 15 + "é".encode()],
    "DEL": [b"k" * 16 + b"\x7f"],
    "two that differ": [b"k" * 16, b"l" * 16],
    "two alike": [b"k" * 16, b"k" * 16],
}


@pytest.mark.parametrize("key", GOOD_KEYS)
async def test_a_retry_key_is_16_to_64_visible_characters(ada: Person, key: str) -> None:
    assert (await ada.refresh(key=key)).status_code == 200


@pytest.mark.parametrize("keys", BAD_KEYS.values(), ids=BAD_KEYS)
async def test_any_other_retry_key_is_refused_and_spends_nothing(
    ada: Person, happened: list[Event], keys: list[bytes]
) -> None:
    headers = [(b"idempotency-key", key) for key in keys]
    body = {"refresh_token": ada.tokens["refresh_token"]}

    answer = await ada.http.post(f"{AUTH}/refresh", json=body, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["field"] == "Idempotency-Key"
    assert not any(isinstance(event, Refreshed) for event in happened)
    assert (await ada.refresh()).status_code == 200


async def test_an_access_token_refreshes_nothing(ada: Person) -> None:
    answer = await ada.refresh(ada.tokens["access_token"])

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_refresh_token")
    assert (await ada.refresh()).status_code == 200


async def test_a_refresh_token_opens_no_door(ada: Person) -> None:
    answer = await ada.me(ada.tokens["refresh_token"])

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    assert answer.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')


SPOILT: dict[str, Callable[[str], str]] = {
    "cut": lambda token: token[:-1],
    "padded": lambda token: token + "=",
    "with a space": lambda token: token + " ",
    "four parts": lambda token: token.replace(".", "..", 1),
    "another seal": lambda token: token.rpartition(".")[0] + "." + "A" * 43,
    "no seal": lambda token: token.rpartition(".")[0] + ".",
    "garbage": lambda _: "a.b.c",
    "not ASCII": lambda _: "é" * 20,
    "long garbage": lambda _: "x" * 4096,
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
async def test_what_limen_did_not_seal_is_refused_and_ends_nothing(
    ada: Person, spoil: Callable[[str], str]
) -> None:
    answer = await ada.refresh(spoil(ada.tokens["refresh_token"]))

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_refresh_token")
    assert (await ada.refresh()).status_code == 200
