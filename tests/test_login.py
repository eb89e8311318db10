"""Signing in: one answer and one amount of work for every failure, and nothing done by halves."""

import asyncio
import re
from dataclasses import replace

import httpx2
import pytest

from limen.clients import Client
from limen.database.schema import rate_limits, sessions
from limen.errors import Busy
from limen.events import Event, PasswordUpgraded, SignIn
from limen.limen import Limen
from tests.clock import ManualClock
from tests.crowds import full, hashes, occupied, until
from tests.people import PASSWORD, Person, attempt, calling_from, guess, somebody
from tests.stored import moved_away, rows, slots_taken

pytestmark = pytest.mark.anyio

# PASSWORD, as another system hashed it.
BCRYPT = "$2b$12$a8mknrV5S5QimstmRLb82uc.bQg5FXc9yQ05RL0pg28dWmhfQ6m9."


def seen(response: httpx2.Response) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """All of an answer that a client sees, but for the request's own id."""
    headers = [(name, value) for name, value in response.headers.raw if name != b"x-request-id"]
    return response.status_code, headers, response.content


FAILURES = {
    "wrong password": ("ada@example.com", "not the password"),
    "empty password": ("ada@example.com", ""),
    "white space": ("ada@example.com", "   "),
    "one character": ("ada@example.com", "x"),
    "password in capitals": ("ada@example.com", PASSWORD.upper()),
    "password and a space": ("ada@example.com", PASSWORD + " "),
    "unknown account": ("nobody@example.com", PASSWORD),
    "unknown account, empty password": ("nobody@example.com", ""),
    "unknown account, white space": ("nobody@example.com", "   "),
    "disabled account": ("eve@example.com", PASSWORD),
    "disabled account, wrong password": ("eve@example.com", "not the password"),
    "disabled account, empty password": ("eve@example.com", ""),
    "no address": ("nobody", PASSWORD),
    "nothing at all": ("", ""),
}


async def test_every_failure_has_one_answer_and_costs_one_hash(
    limen: Limen, http: httpx2.AsyncClient, clock: ManualClock, happened: list[Event]
) -> None:
    await somebody(limen, http)
    eve = await somebody(limen, http, "eve@example.com")
    await limen.features.accounts.disable(eve.user_id)

    answers, work = {}, {}
    for number, (case, (email, password)) in enumerate(FAILURES.items()):
        happened.clear()
        async with calling_from(limen, f"198.51.100.{number}") as stranger:
            answers[case] = seen(await attempt(stranger, email, password))
        clock.tick(15 * 60)
        refused = [event for event in happened if isinstance(event, SignIn)]
        assert {event.outcome for event in refused} == {"invalid_credentials"}
        work[case] = (hashes(happened), len(refused))

    assert answers == dict.fromkeys(FAILURES, answers["wrong password"])
    assert work == dict.fromkeys(FAILURES, (1, 1))
    status, headers, body = answers["wrong password"]
    assert status == 401
    assert (b"cache-control", b"no-store") in headers
    assert b'"code":"invalid_credentials"' in body.replace(b" ", b"")
    assert len(await rows(limen, sessions)) == 2  # those of the two who signed in above


@pytest.mark.parametrize("email", ["ada@example.com", "nobody@example.com"])
async def test_a_password_beyond_any_length_is_refused_alike(
    ada: Person, stranger: httpx2.AsyncClient, happened: list[Event], email: str
) -> None:
    happened.clear()
    response = await attempt(stranger, email, "x" * 257)

    assert (response.status_code, response.json()["field"]) == (422, "password")
    assert hashes(happened) == 0
    assert ada.user_id not in response.text


async def test_a_success_costs_one_hash_too(ada: Person, happened: list[Event]) -> None:
    happened.clear()

    assert (await ada.sign_in()).status_code == 200
    assert hashes(happened) == 1


async def test_a_success_starts_a_session_of_its_own(limen: Limen, ada: Person) -> None:
    await ada.sign_in()

    first, second = await rows(limen, sessions)
    assert {first.user_id, second.user_id} == {ada.user_id}
    assert first.sid != second.sid


async def test_a_limit_refuses_before_anything_is_looked_at(
    ada: Person, stranger: httpx2.AsyncClient, happened: list[Event]
) -> None:
    for _ in range(5):
        await guess(stranger, ada.email)
    happened.clear()

    response = await attempt(stranger, ada.email, PASSWORD)

    assert response.status_code == 429
    assert hashes(happened) == 0
    assert happened.count(SignIn("too_many_attempts")) == 1


async def test_the_limit_says_the_same_of_known_and_unknown_accounts(
    limen: Limen, ada: Person
) -> None:
    answers = []
    for email in (ada.email, "nobody@example.com", "nobody"):
        async with calling_from(limen, "198.51.100.7") as stranger:
            answers.append([seen(await guess(stranger, email)) for _ in range(7)])

    known, *unknown = answers
    assert [status for status, _, _ in known] == [401] * 5 + [429] * 2
    assert unknown == [known, known]


CHANGES = ["disabled", "password changed", "sessions ended"]


async def change(other: Limen, user_id: str, what: str) -> None:
    accounts = other.features.accounts
    match what:
        case "disabled":
            await accounts.disable(user_id)
        case "password changed":
            await accounts.set_password(user_id, "quite another password")
        case _:
            await accounts.end_sessions(user_id)


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("stored", [None, BCRYPT], ids=["argon2id", "bcrypt"])
async def test_what_changes_while_the_password_is_checked_stops_the_sign_in(
    limen: Limen, twin: Limen, stranger: httpx2.AsyncClient, what: str, stored: str | None
) -> None:
    """The account has been read, and another process changes it before the session starts."""
    accounts, room = limen.features.accounts, limen.features.room
    created = (
        await accounts.create_with_hash("ada@example.com", stored)
        if stored
        else await accounts.create("ada@example.com", PASSWORD)
    )
    async with occupied(room):
        signing_in = asyncio.create_task(attempt(stranger, created.email, PASSWORD))
        await until(lambda: room.waiting == 1)
        await change(twin, created.user_id, what)
    changed = await accounts.get(created.user_id)

    assert (await signing_in).status_code == 401
    assert await rows(limen, sessions) == []
    after = await accounts.get(created.user_id)
    assert replace(after, failures=0) == replace(changed, failures=0)  # its new hash above all
    assert await slots_taken(limen) == {"login": 1, "login-address": 1}


async def test_bcrypt_is_upgraded_at_the_first_success(
    limen: Limen, stranger: httpx2.AsyncClient, happened: list[Event]
) -> None:
    accounts = limen.features.accounts
    created = await accounts.create_with_hash("ada@example.com", BCRYPT)

    assert (await guess(stranger, created.email)).status_code == 401
    assert (await accounts.get(created.user_id)).password_hash == BCRYPT

    assert (await attempt(stranger, created.email)).status_code == 200
    upgraded = (await accounts.get(created.user_id)).password_hash
    assert upgraded.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert happened.count(PasswordUpgraded(created.user_id, "argon2id")) == 1

    assert (await attempt(stranger, created.email)).status_code == 200
    assert (await guess(stranger, created.email)).status_code == 401
    assert (await accounts.get(created.user_id)).password_hash == upgraded
    assert happened.count(PasswordUpgraded(created.user_id, "argon2id")) == 1


async def test_an_upgrade_ends_nothing(limen: Limen, stranger: httpx2.AsyncClient) -> None:
    account = await limen.features.accounts.create_with_hash("ada@example.com", BCRYPT)
    ada = Person(stranger, account.email, account.user_id)
    await ada.sign_in()

    assert (await ada.me()).status_code == 200
    assert (await ada.refresh()).status_code == 200


async def test_simultaneous_upgrades_leave_one_good_hash(
    limen: Limen, stranger: httpx2.AsyncClient
) -> None:
    accounts = limen.features.accounts
    created = await accounts.create_with_hash("ada@example.com", BCRYPT)

    responses = await asyncio.gather(*(attempt(stranger, created.email) for _ in range(8)))

    assert [response.status_code for response in responses] == [200] * 8
    stored = (await accounts.get(created.user_id)).password_hash
    assert re.fullmatch(r"\$argon2id\$v=19\$m=8,t=1,p=1\$[^$]+\$[^$]+", stored)
    stranger.cookies.clear()
    assert (await attempt(stranger, created.email)).status_code == 200
    assert (await guess(stranger, created.email)).status_code == 401


async def test_a_full_room_refuses_before_the_database_is_asked(
    limen: Limen, stranger: httpx2.AsyncClient, happened: list[Event]
) -> None:
    """With the database gone, it is still the room that refuses."""
    with moved_away(limen):
        async with full(limen.features.room):
            response = await attempt(stranger, "ada@example.com", PASSWORD)

    assert (response.status_code, response.json()["code"]) == (503, "busy")
    assert int(response.headers["retry-after"]) >= 1
    assert happened.count(SignIn("busy")) == 1


async def test_no_more_set_out_than_can_be_served(limen: Limen, ada: Person) -> None:
    """Were they let in to wait for the database, none of a flood would arrive in time."""
    login, room = limen.features.login, limen.features.room
    somewhere = Client("198.51.100.7")
    room._places = 1
    async with occupied(room):
        attempts = [
            asyncio.create_task(login.sign_in(ada.email, PASSWORD, somewhere)) for _ in range(5)
        ]
        await until(lambda: room.waiting == 1)
        taken = await slots_taken(limen)
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)

    assert sum(isinstance(outcome, Busy) for outcome in outcomes) == 4
    assert taken == {"login": 1, "login-address": 1}  # of the one that waits
    assert set((await slots_taken(limen)).values()) == {0}
    assert room.coming == 0


async def test_who_waits_when_the_room_is_closed_gets_the_slots_back(
    limen: Limen, ada: Person
) -> None:
    login, room = limen.features.login, limen.features.room
    async with occupied(room):
        attempt = asyncio.create_task(login.sign_in(ada.email, PASSWORD, Client("198.51.100.7")))
        await until(lambda: room.waiting == 1)
        assert (await slots_taken(limen)) == {"login": 1, "login-address": 1}
        room._open = False
    with pytest.raises(Busy):
        await attempt

    assert set((await slots_taken(limen)).values()) == {0}


async def test_without_the_database_nobody_signs_in(
    limen: Limen, ada: Person, happened: list[Event]
) -> None:
    happened.clear()

    with moved_away(limen):
        refused = await ada.sign_in()

    assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
    assert int(refused.headers["retry-after"]) >= 1
    assert hashes(happened) == 0
    assert (await ada.sign_in()).status_code == 200


async def test_fifty_failures_of_an_address_are_admitted(
    limen: Limen, ada: Person, happened: list[Event]
) -> None:
    """Also a known device is refused there, but the account is not harmed elsewhere."""
    happened.clear()
    async with calling_from(limen, "203.0.113.7") as attacker:
        statuses = [
            (await guess(attacker, f"user{number}@example.com")).status_code for number in range(55)
        ]
        device = {"Limen-Device": ada.http.cookies["limen_device"]}
        refused = await attempt(attacker, ada.email, PASSWORD, **device)

    assert statuses == [401] * 50 + [429] * 5
    assert hashes(happened) == 50
    assert refused.status_code == 429
    assert refused.headers["ratelimit-policy"] == '"login-address";q=50;w=900'
    async with calling_from(limen, "203.0.113.8") as neighbour:
        assert (await attempt(neighbour, ada.email, PASSWORD)).status_code == 200


async def test_successes_do_not_count(limen: Limen, ada: Person) -> None:
    """An office signs in from one address all day."""
    async with calling_from(limen, "203.0.113.7") as office:
        statuses = {(await attempt(office, ada.email)).status_code for _ in range(60)}

    assert statuses == {200}
    assert sum((await slots_taken(limen)).values()) == 0


async def test_the_rows_of_the_limits_name_neither_accounts_nor_addresses(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    await guess(stranger, ada.email)

    text = "\n".join(map(str, await rows(limen, rate_limits)))
    assert text.count("login:") == 1
    assert not re.search(r"@|example|198\.51|127\.0", text)


async def test_nothing_stays_in_memory_of_who_has_tried(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    await asyncio.gather(*(guess(stranger, ada.email) for _ in range(20)))
    await ada.sign_in()

    assert limen.features.login._limits._lanes.is_empty
