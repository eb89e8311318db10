"""Changing one's password: with the current one, and everybody else is out at once."""

import asyncio

import httpx2
import pytest

from limen.clients import Client
from limen.database.schema import sessions
from limen.errors import Busy, DatabaseUnavailable, WrongPassword
from limen.events import AccountChanged, Event, SessionEnded, SignIn
from limen.limen import Limen
from tests.crowds import full, hashes, occupied, until
from tests.mailbox import mails
from tests.people import PASSWORD, Person, attempt, calling_from, has_failed, somebody
from tests.stored import moved_away, rows, slots_taken

pytestmark = pytest.mark.anyio

NEW = "quite another staple battery"
HERE = Client("127.0.0.1")


async def test_other_sessions_end_at_once_and_this_one_goes_on(
    ada: Person, stranger: httpx2.AsyncClient, happened: list[Event]
) -> None:
    elsewhere = Person(stranger, ada.email, ada.user_id)
    await elsewhere.sign_in()
    kept, ended = await ada.sid(), await elsewhere.sid()
    happened.clear()

    assert (await ada.change_password(NEW)).status_code == 204

    assert [(await elsewhere.me()).status_code, (await elsewhere.refresh()).status_code] == [
        401
    ] * 2
    assert (await ada.me()).status_code == 401  # it is older than the change
    assert (await ada.refresh()).status_code == 200
    assert await ada.sid() == kept
    assert happened.count(AccountChanged(ada.user_id, "password_changed")) == 1
    assert [event for event in happened if isinstance(event, SessionEnded)] == [
        SessionEnded(ended, "password_changed", ada.user_id)
    ]


async def test_the_new_password_counts_and_the_old_one_does_not(
    ada: Person, stranger: httpx2.AsyncClient
) -> None:
    await ada.change_password(NEW)

    assert (await attempt(stranger, ada.email, PASSWORD)).status_code == 401
    assert (await attempt(stranger, ada.email, NEW)).status_code == 200


async def test_the_owner_is_told_by_mail(limen: Limen, ada: Person) -> None:
    await ada.change_password(NEW)

    (mail,) = await mails(limen)
    assert (mail.message, mail.to, mail.code) == ("password_changed", ada.email, None)


async def test_a_wrong_current_password_counts_like_a_failed_sign_in(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient, happened: list[Event]
) -> None:
    """Who holds somebody's access token has no better place to guess, nor a second set of slots."""
    stranger.headers.update(ada.bearer())
    thief = Person(stranger, ada.email, ada.user_id, tokens=ada.tokens)
    happened.clear()
    answers = [await thief.change_password(NEW, "not the password") for _ in range(7)]

    assert [answer.status_code for answer in answers] == [403] * 5 + [429] * 2
    assert answers[0].json()["code"] == "wrong_password"
    assert answers[-1].headers["ratelimit-policy"] == '"login";q=5;w=900'
    assert happened.count(SignIn("invalid_credentials", ada.user_id)) == 5
    assert (await limen.features.accounts.get(ada.user_id)).failures == 5
    assert (await attempt(stranger, ada.email, PASSWORD)).status_code == 429
    assert (await ada.change_password(NEW)).status_code == 204  # from a known device


async def test_a_locked_account_keeps_its_password_where_the_device_is_not_known(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    await has_failed(limen, ada.user_id, 100)
    thief = Person(stranger, ada.email, ada.user_id, tokens=ada.tokens)

    assert (await thief.change_password(NEW)).status_code == 403
    assert (await ada.change_password(NEW)).status_code == 204


async def test_a_right_current_password_takes_no_slots(limen: Limen, ada: Person) -> None:
    await ada.change_password(NEW)

    assert sum((await slots_taken(limen)).values()) == 0


@pytest.mark.parametrize(
    ("password", "reason"),
    [("short", "too_short"), ("password123", "common"), ("ada@example.com", "context")],
)
async def test_a_new_password_that_is_not_acceptable_changes_nothing(
    limen: Limen, ada: Person, password: str, reason: str
) -> None:
    refused = await ada.change_password(password)

    found = refused.json()
    assert (refused.status_code, found["reason"], found["field"]) == (422, reason, "new_password")
    assert (await ada.me()).status_code == 200
    assert await mails(limen) == []


async def test_whoever_does_not_know_the_current_password_learns_nothing_of_the_policy(
    ada: Person,
) -> None:
    assert (await ada.change_password("short", "not the password")).status_code == 403


async def test_two_changes_at_once_are_one_after_the_other(limen: Limen, ada: Person) -> None:
    """The second was checked against a password that is none any more."""
    room = limen.features.room
    async with occupied(room):
        changing = [
            asyncio.create_task(ada.change_password(f"staple battery number {number}"))
            for number in range(2)
        ]
        await until(lambda: room.waiting == 2)
    statuses = sorted([(await one).status_code for one in changing])

    assert statuses in ([204, 401], [204, 403])


async def test_an_account_that_is_disabled_meanwhile_stays_as_it_is(
    limen: Limen, twin: Limen, ada: Person
) -> None:
    accounts, room = limen.features.accounts, limen.features.room
    async with occupied(room):
        changing = asyncio.create_task(ada.change_password(NEW))
        await until(lambda: room.waiting == 1)
        await twin.features.accounts.disable(ada.user_id)
    disabled = await accounts.get(ada.user_id)

    assert (await changing).status_code in {401, 403}
    assert (await accounts.get(ada.user_id)).password_hash == disabled.password_hash


async def test_without_room_or_database_nothing_changes(limen: Limen, ada: Person) -> None:
    by = await limen.verifier.verify(ada.tokens["access_token"])
    change = limen.features.password_change.change
    async with full(limen.features.room):
        with pytest.raises(Busy):
            await change(by, PASSWORD, NEW, HERE)
    with moved_away(limen), pytest.raises(DatabaseUnavailable):
        await change(by, PASSWORD, NEW, HERE)

    assert (await ada.me()).status_code == 200
    assert (await ada.sign_in()).status_code == 200


async def test_a_change_costs_two_hashes(ada: Person, happened: list[Event]) -> None:
    happened.clear()
    await ada.change_password(NEW)

    assert hashes(happened) == 2


async def test_a_token_from_before_another_change_changes_nothing(
    limen: Limen, twin: Limen, ada: Person
) -> None:
    """It is verified here, where the change is not known yet, and refused by the database."""
    by = await limen.verifier.verify(ada.tokens["access_token"])
    await twin.features.accounts.set_password(ada.user_id, NEW)

    with pytest.raises(WrongPassword):
        await limen.features.password_change.change(by, PASSWORD, "one more battery", HERE)


async def test_the_session_that_asks_may_have_ended_just_now(
    limen: Limen, twin: Limen, ada: Person
) -> None:
    """It is not brought back by being kept."""
    by = await limen.verifier.verify(ada.tokens["access_token"])
    await twin.features.sessions.end_by_sid(by.sid, "logout")
    await limen.features.password_change.change(by, PASSWORD, NEW, HERE)

    assert (await ada.refresh()).status_code == 401
    assert [row.end_reason for row in await rows(limen, sessions)] == ["logout"]


async def test_nobody_elses_session_is_touched(limen: Limen, ada: Person) -> None:
    async with calling_from(limen, "198.51.100.8") as there:
        eve = await somebody(limen, there, "eve@example.com")
        await ada.change_password(NEW)

        assert (await eve.me()).status_code == 200
