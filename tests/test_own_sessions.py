"""Where one is signed in: shown to its owner alone, and ended by him."""

import asyncio
from datetime import datetime
from typing import Any

import httpx2
import pytest

from limen import own_sessions
from limen.clock import SECOND
from limen.database.connections import UnexpectedRows
from limen.database.schema import revocations, sessions
from limen.events import AccountChanged, Event, SessionEnded
from limen.limen import Limen
from tests.clock import ManualClock
from tests.people import AUTH, PASSWORD, Person, attempt, calling_from, somebody
from tests.stored import rows

pytestmark = pytest.mark.anyio

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0"


async def shown(person: Person) -> list[dict[str, Any]]:
    answer = await person.http.get(f"{AUTH}/sessions", headers=person.bearer())
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()["sessions"]
    return found


async def end(person: Person, sid: str = "") -> httpx2.Response:
    """End one session, or all others."""
    path = f"{AUTH}/sessions/{sid}".rstrip("/")
    return await person.http.delete(path, headers=person.bearer())


async def second(ada: Person, http: httpx2.AsyncClient) -> Person:
    """Ada once more, signed in somewhere else."""
    elsewhere = Person(http, ada.email, ada.user_id)
    assert (await elsewhere.sign_in(**{"User-Agent": FIREFOX})).status_code == 200
    return elsewhere


async def test_each_session_is_shown_with_device_address_and_times(
    ada: Person, stranger: httpx2.AsyncClient, clock: ManualClock
) -> None:
    signed_in_at = clock.now
    elsewhere = await second(ada, stranger)
    clock.tick(600)
    await elsewhere.refresh()

    first, other = await shown(ada)
    assert first["sid"] == await ada.sid()
    assert [first["current"], other["current"]] == [True, False]
    assert (other["device"], other["address"]) == ("Firefox on Windows", "198.51.100.7")
    seen = [datetime.fromisoformat(other[name]) for name in ("first_seen", "last_seen")]
    assert [at.timestamp() for at in seen] == [
        signed_in_at // SECOND,
        signed_in_at // SECOND + 600,
    ]
    expires = datetime.fromisoformat(other["expires_at"]).timestamp()
    assert expires == clock.now // SECOND + 7 * 86400


async def test_this_session_comes_first_and_then_the_last_seen(
    limen: Limen, ada: Person, clock: ManualClock
) -> None:
    sids = []
    for number in range(3):
        clock.tick(1)
        async with calling_from(limen, f"198.51.100.{number}") as http:
            sids.append(await (await second(ada, http)).sid())

    assert [one["sid"] for one in await shown(ada)] == [await ada.sid(), *reversed(sids)]


async def test_nobody_sees_the_sessions_of_others(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    eve = await somebody(limen, stranger, "eve@example.com")

    assert [one["sid"] for one in await shown(eve)] == [await eve.sid()]
    assert [one["sid"] for one in await shown(ada)] == [await ada.sid()]


@pytest.mark.parametrize("how", ["signed out", "not refreshed for a week", "ninety days old"])
async def test_what_cannot_go_on_is_not_shown(
    ada: Person, stranger: httpx2.AsyncClient, clock: ManualClock, how: str
) -> None:
    elsewhere = await second(ada, stranger)
    match how:
        case "signed out":
            await elsewhere.log_out()
        case "not refreshed for a week":
            clock.tick(7 * 86400)
            await ada.sign_in()
        case _:
            for _ in range(15):
                clock.tick(6 * 86400)
                await elsewhere.refresh()
            await ada.sign_in()

    assert [one["current"] for one in await shown(ada)] == [True]


async def test_of_very_many_sessions_a_hundred_are_shown_and_said_not_to_be_all(
    ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_sessions, "MOST", 3)
    complete = []
    for _ in range(4):
        answer = await ada.http.get(f"{AUTH}/sessions", headers=ada.bearer())
        complete.append((len(answer.json()["sessions"]), answer.json()["complete"]))
        await ada.sign_in()

    assert complete == [(1, True), (2, True), (3, True), (3, False)]


async def test_a_session_that_its_owner_ends_is_over_at_once(
    ada: Person, stranger: httpx2.AsyncClient, happened: list[Event]
) -> None:
    elsewhere = await second(ada, stranger)
    sid = await elsewhere.sid()
    happened.clear()

    assert [(await end(ada, sid)).status_code for _ in range(2)] == [204, 204]

    assert [(await elsewhere.me()).status_code, (await elsewhere.refresh()).status_code] == [
        401
    ] * 2
    assert (await ada.me()).status_code == 200
    assert happened.count(SessionEnded(sid, "ended_by_owner", ada.user_id)) == 1


async def test_one_may_end_the_session_that_one_is_in(ada: Person) -> None:
    assert (await end(ada, await ada.sid())).status_code == 204
    assert (await ada.me()).status_code == 401


@pytest.mark.parametrize("whose", ["another account's", "nobody's", "one that was swept"])
async def test_what_is_no_session_of_the_account_is_not_there(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient, clock: ManualClock, whose: str
) -> None:
    """Whether it is somebody else's or nobody's is not told."""
    eve = await somebody(limen, stranger, "eve@example.com")
    sid = "0" * 32
    if whose == "another account's":
        sid = await eve.sid()
    elif whose == "one that was swept":
        sid = await ada.sid()
        await ada.log_out()
        clock.tick(2 * 86400)
        await limen.features.sweep.once()
        await ada.sign_in()
        await eve.refresh()
    refused = await end(ada, sid)

    assert (refused.status_code, refused.json()["code"]) == (404, "session_not_found")
    assert (await eve.me()).status_code == 200


@pytest.mark.parametrize("sid", ["x", "0" * 31, "0" * 33, "A" * 32, "%00" * 32])
async def test_what_is_no_sid_is_refused(ada: Person, sid: str) -> None:
    assert (await end(ada, sid)).status_code == 422


async def test_ending_all_others_leaves_this_one_which_goes_on_by_refreshing(
    ada: Person, stranger: httpx2.AsyncClient, happened: list[Event]
) -> None:
    elsewhere = await second(ada, stranger)
    kept, ended = await ada.sid(), await elsewhere.sid()
    happened.clear()

    assert (await end(ada)).status_code == 204

    assert [(await elsewhere.me()).status_code, (await elsewhere.refresh()).status_code] == [
        401
    ] * 2
    assert (await ada.refresh()).status_code == 200
    assert await ada.sid() == kept
    assert [one["sid"] for one in await shown(ada)] == [kept]
    assert happened.count(SessionEnded(ended, "ended_by_owner", ada.user_id)) == 1
    assert happened.count(AccountChanged(ada.user_id, "other_sessions_ended")) == 1


async def test_no_sign_in_that_is_on_its_way_escapes(twin: Limen, ada: Person) -> None:
    """The account was read before, with the credential version of before."""
    account = await twin.features.accounts.get(ada.user_id)
    await end(ada)
    before = await rows(twin, sessions)
    with pytest.raises(UnexpectedRows):
        async with twin.features.log.change() as change:
            twin.features.sessions.start(
                change.connection, user_id=account.user_id, cv=account.cv, scope=account.scope
            )

    assert await rows(twin, sessions) == before


async def test_ending_others_twice_at_once_signs_nobody_out(ada: Person) -> None:
    await asyncio.gather(*(end(ada) for _ in range(5)))

    assert (await ada.refresh()).status_code == 200
    assert (await ada.me()).status_code == 200


async def test_ending_a_session_writes_one_entry_to_the_log(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    sid = await (await second(ada, stranger)).sid()
    for _ in range(3):
        await end(ada, sid)

    assert [row.kind for row in await rows(limen, revocations)].count("session") == 1
    assert len(await rows(limen, sessions)) == 2


async def test_the_device_goes_on_being_known_after_its_session_was_ended(
    ada: Person,
) -> None:
    await end(ada, await ada.sid())

    assert "set-cookie" not in (await attempt(ada.http, ada.email, PASSWORD)).headers
