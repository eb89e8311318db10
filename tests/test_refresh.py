"""What a refresh token is worth: to its owner, to his other tab, and to a thief."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from limen.clock import SECOND
from limen.database.schema import accounts, sessions
from limen.events import Event, Refreshed, RefreshOutcome, SessionEnded
from limen.limen import Limen
from limen.refresh import RETRY_WINDOW
from limen.settings import Settings
from limen.tokens import Generation
from tests.clock import ManualClock
from tests.people import Person, calling_from, somebody
from tests.running import running
from tests.stored import rows

pytestmark = pytest.mark.anyio

WINDOW = RETRY_WINDOW // SECOND
DAY = 86400
KEY = "k" * 16
OTHER_KEY = "o" * 16


def last_outcome(happened: list[Event]) -> RefreshOutcome:
    """What the last refresh came to."""
    return [event.outcome for event in happened if isinstance(event, Refreshed)][-1]


async def the_row(limen: Limen) -> dict[str, Any]:
    """The only session, as the database holds it."""
    (row,) = await rows(limen, sessions)
    return dict(row._mapping)


# The outcome table of docs/refresh.md, row by row. A session that stands at generation 1, handed
# out bare or with KEY; what is presented with what, after how many seconds; what comes of it.


@dataclass(frozen=True, slots=True)
class Case:
    first_key: str | None
    presented: int
    key: str | None
    seconds: float
    outcome: RefreshOutcome
    used: bool = False  # the successor was used before, with KEY, and coalesced


JUST = WINDOW - 1e-6  # one microsecond before the window closes

TABLE = {
    "current, bare": Case(None, 1, None, 0, "rotated"),
    "current, bare, after a keyed one": Case(KEY, 1, None, 0, "rotated"),
    "current, keyed, long ago": Case(KEY, 1, KEY, WINDOW, "rotated"),
    "current, another key, long ago": Case(KEY, 1, OTHER_KEY, WINDOW, "rotated"),
    "current, keyed, just now": Case(KEY, 1, KEY, 0, "coalesced"),
    "current, another key, at the last moment": Case(KEY, 1, OTHER_KEY, JUST, "coalesced"),
    "current, keyed after a bare one": Case(None, 1, KEY, JUST, "coalesced"),
    "retry, just now": Case(KEY, 0, KEY, 0, "same_successor"),
    "retry, long ago, successor never used": Case(KEY, 0, KEY, 6 * DAY, "same_successor"),
    "retry, just now, successor used": Case(KEY, 0, KEY, JUST, "same_successor", used=True),
    "retry, long ago, successor used": Case(KEY, 0, KEY, WINDOW, "replayed", used=True),
    "another key, just now": Case(KEY, 0, OTHER_KEY, JUST, "superseded"),
    "another key, just now, after a bare one": Case(None, 0, KEY, JUST, "superseded"),
    "another key, long ago": Case(KEY, 0, OTHER_KEY, WINDOW, "replayed"),
    "bare, after a bare one": Case(None, 0, None, 0, "replayed"),
    "bare, after a keyed one": Case(KEY, 0, None, 0, "replayed"),
}

STATUSES: dict[RefreshOutcome, tuple[int, str | None]] = {
    "rotated": (200, None),
    "coalesced": (200, None),
    "same_successor": (200, None),
    "fast_forwarded": (200, None),
    "superseded": (409, "refresh_superseded"),
    "replayed": (401, "invalid_refresh_token"),
}


@pytest.mark.parametrize("case", TABLE.values(), ids=TABLE)
async def test_the_outcome_table(
    limen: Limen, ada: Person, clock: ManualClock, happened: list[Event], case: Case
) -> None:
    presented = [ada.tokens["refresh_token"]]
    await ada.refresh(key=case.first_key)
    presented.append(ada.tokens["refresh_token"])
    if case.used:
        await ada.refresh(key=OTHER_KEY)
    clock.tick(case.seconds)
    before = await the_row(limen)

    response = await ada.refresh(presented[case.presented], case.key)

    after = await the_row(limen)
    assert last_outcome(happened) == case.outcome
    assert (response.status_code, response.json().get("code")) == STATUSES[case.outcome]
    assert after["gen"] == before["gen"] + (case.outcome == "rotated")
    assert (after["ended_at"] is not None) == (case.outcome == "replayed")
    if case.outcome in {"coalesced", "same_successor"}:
        assert response.json()["refresh_token"] == presented[1]


async def test_a_token_newer_than_its_row_is_taken_as_the_row_was_set_back(
    limen: Limen, ada: Person, happened: list[Event]
) -> None:
    for _ in range(3):
        await ada.refresh()
    newest = ada.tokens["refresh_token"]
    async with limen.features.database.write() as connection:
        await connection.execute(sessions.update().values(gen=1))

    forwarded = await ada.refresh(key=KEY)
    again = await ada.refresh(newest, key=KEY)

    assert [event.outcome for event in happened if isinstance(event, Refreshed)][-2:] == [
        "fast_forwarded",
        "coalesced",
    ]
    assert forwarded.json()["refresh_token"] == again.json()["refresh_token"] == newest
    assert (await ada.refresh()).json()["refresh_token"] != newest
    assert (await the_row(limen))["gen"] == 4


# Each use hands out a new token; a replay ends the session for both.


async def test_each_use_hands_out_new_tokens(ada: Person) -> None:
    pairs = [ada.tokens]
    for _ in range(3):
        assert (await ada.refresh()).status_code == 200
        pairs.append(ada.tokens)

    assert len({pair["refresh_token"] for pair in pairs}) == 4
    assert len({pair["access_token"] for pair in pairs}) == 4
    assert [(await ada.me(pair["access_token"])).status_code for pair in pairs] == [200] * 4


@pytest.mark.parametrize("uses", [1, 2, 3])
async def test_a_replay_ends_the_session_for_owner_and_thief(
    ada: Person, happened: list[Event], uses: int
) -> None:
    stolen, access_tokens = ada.tokens["refresh_token"], [ada.tokens["access_token"]]
    for _ in range(uses):
        await ada.refresh()
        access_tokens.append(ada.tokens["access_token"])
    newest = ada.tokens["refresh_token"]

    assert (await ada.refresh(stolen)).status_code == 401
    assert (await ada.refresh(newest)).status_code == 401
    assert [(await ada.me(token)).json()["code"] for token in access_tokens] == [
        "invalid_token"
    ] * (uses + 1)
    (ended,) = [event for event in happened if isinstance(event, SessionEnded)]
    assert ended.reason == "replay"


async def test_a_refreshed_token_says_what_its_own_account_may_do(limen: Limen) -> None:
    """Whoever else has an account, before or behind it in the table."""
    access = [("admin", "owner"), ("", ""), ("orders", "editor reader"), ("admin billing", "")]
    people = []
    for number, (scope, roles) in enumerate(access):
        client = calling_from(limen, f"192.0.2.{number}")
        person = await somebody(limen, client, f"p{number}@example.com")
        values = {"scope": scope, "roles": roles, "verified_at": number or None}
        await limen.features.accounts.change(person.user_id, "access_changed", **values)
        people.append(person)

    for number, (person, (scope, roles)) in enumerate(zip(people, access, strict=True)):
        assert (await person.refresh()).status_code == 200
        claims = limen.verifier.check(person.tokens["access_token"])
        assert claims.user_id == person.user_id
        assert claims.scopes == set(scope.split())
        assert claims.roles == set(roles.split())
        assert claims.email_verified is bool(number)


async def test_a_replay_ends_no_other_session_of_the_account(ada: Person) -> None:
    stolen = ada.tokens["refresh_token"]
    await ada.refresh()
    await ada.sign_in()
    elsewhere = ada.tokens

    await ada.refresh(stolen)

    assert (await ada.me(elsewhere["access_token"])).status_code == 200
    assert (await ada.refresh(elsewhere["refresh_token"])).status_code == 200


async def test_a_retry_gets_the_same_successor_byte_for_byte_whatever_happens_between(
    ada: Person, clock: ManualClock
) -> None:
    first = ada.tokens["refresh_token"]
    await ada.refresh(key=KEY)
    successor = ada.tokens["refresh_token"]
    handed_out = []
    for token, seconds in [(first, 1), (first, 3600), (first, 59), (successor, 20), (first, 30)]:
        clock.tick(seconds)
        handed_out.append((await ada.refresh(token, KEY)).json().get("refresh_token"))

    assert handed_out == [successor] * 5


async def test_coalescing_does_not_keep_the_window_open(
    ada: Person, clock: ManualClock, happened: list[Event]
) -> None:
    first = ada.tokens["refresh_token"]
    await ada.refresh(key=KEY)
    successor = ada.tokens["refresh_token"]
    clock.tick(WINDOW / 2)
    await ada.refresh(successor, KEY)
    clock.tick(WINDOW / 2)

    await ada.refresh(successor, OTHER_KEY)

    assert last_outcome(happened) == "rotated"
    assert (await ada.refresh(first, KEY)).status_code == 401


@pytest.mark.parametrize("seconds", [-1, -WINDOW, -3600], ids=str)
async def test_a_clock_that_is_set_back_opens_no_window(
    ada: Person, clock: ManualClock, happened: list[Event], seconds: int
) -> None:
    used = ada.tokens["refresh_token"]
    await ada.refresh()
    clock.tick(seconds)

    await ada.refresh()
    rotated = last_outcome(happened)
    replay = await ada.refresh(used)

    assert (rotated, replay.status_code) == ("rotated", 401)


async def test_a_good_seal_alone_is_worth_nothing(
    limen: Limen, ada: Person, clock: ManualClock, happened: list[Event]
) -> None:
    """Whoever stole the sealing key still does not know a session's fid."""
    invented = Generation(ada.user_id, "f" * 43, 0, clock(), clock() + DAY * SECOND)
    sealed = limen.features.tokens._refresh_token(invented, clock() // SECOND + DAY)

    assert (await ada.refresh(sealed)).status_code == 401
    assert last_outcome(happened) == "invalid"
    assert (await the_row(limen))["ended_at"] is None


async def test_a_session_of_an_older_credential_version_is_refused_and_not_taken_for_a_replay(
    limen: Limen, ada: Person, happened: list[Event]
) -> None:
    """Also one that nobody ended: whoever raises the version needs no second write."""
    async with limen.features.database.write() as connection:
        await connection.execute(accounts.update().values(cv=2))

    assert (await ada.refresh()).status_code == 401
    assert last_outcome(happened) == "invalid"
    assert (await the_row(limen))["gen"] == 0


# Lifetimes, to the second.


async def test_a_refresh_token_is_good_for_seven_days_to_the_second(
    ada: Person, clock: ManualClock
) -> None:
    clock.now -= clock.now % SECOND
    await ada.sign_in()
    assert ada.tokens["refresh_expires_in"] == 7 * DAY
    clock.tick(7 * DAY - 1e-6)

    assert (await ada.refresh()).status_code == 200


async def test_a_refresh_token_is_refused_when_seven_days_are_over(
    ada: Person, clock: ManualClock, happened: list[Event]
) -> None:
    clock.now -= clock.now % SECOND
    await ada.sign_in()
    clock.tick(7 * DAY)

    assert (await ada.refresh()).json()["code"] == "invalid_refresh_token"
    assert last_outcome(happened) == "invalid"


async def test_a_session_ends_after_ninety_days_although_refreshed_daily(
    ada: Person, clock: ManualClock
) -> None:
    clock.now -= clock.now % SECOND
    await ada.sign_in()
    left = []
    for day in range(1, 90):
        clock.tick(DAY)
        assert (await ada.refresh()).status_code == 200, day
        left.append(ada.tokens["refresh_expires_in"])
    clock.tick(DAY - 1)
    last = await ada.refresh()
    clock.tick(1)

    assert left == [min(7, 90 - day) * DAY for day in range(1, 90)]
    assert (last.status_code, last.json()["refresh_expires_in"]) == (200, 1)
    assert (await ada.refresh()).status_code == 401


# The grace that an operator may give to bare refreshes.


@pytest.fixture
async def lenient(settings: Settings, clock: ManualClock) -> AsyncIterator[Person]:
    """Somebody at a limen with ten seconds of grace."""
    async with (
        running(replace(settings, refresh_reuse_grace=10), clock) as limen,
        calling_from(limen, "127.0.0.1") as http,
    ):
        yield await somebody(limen, http)


async def test_within_the_grace_a_bare_retry_gets_the_same_successor(
    lenient: Person, clock: ManualClock
) -> None:
    first = lenient.tokens["refresh_token"]
    await lenient.refresh()
    successor = lenient.tokens["refresh_token"]
    clock.tick(10 - 1e-6)

    assert (await lenient.refresh(first)).json()["refresh_token"] == successor
    assert (await lenient.refresh(successor)).json()["refresh_token"] == successor


async def test_the_grace_only_runs_out(lenient: Person, clock: ManualClock) -> None:
    first = lenient.tokens["refresh_token"]
    await lenient.refresh()
    clock.tick(9)
    assert (await lenient.refresh(first)).status_code == 200
    clock.tick(1)

    assert (await lenient.refresh(first)).status_code == 401
