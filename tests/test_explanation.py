"""Each way in which a session can end is told in words that its owner understands."""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import get_args

import pytest
from sqlalchemy import delete

from limen.database.schema import audit, sessions
from limen.events import EndReason, SessionEnded
from limen.explanation import REASONS, Explanation
from limen.limen import Limen
from limen.origin import Origin, coming_from
from tests.clock import ManualClock
from tests.people import AUTH, PASSWORD, Person, calling_from, somebody
from tests.stored import rows
from tests.trails import happen

pytestmark = pytest.mark.anyio

DAY = 86400
HOME, ELSEWHERE = "198.51.100.7", "203.0.113.9"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CURL = "curl/8.5.0"
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"


@pytest.fixture
async def sid(limen: Limen, ada: Person) -> str:
    """The only session there is, of whom signed in from home."""
    await limen.features.accounts.end_sessions(ada.user_id)
    async with limen.features.database.write() as connection:
        await connection.execute(delete(sessions))
    async with calling_from(limen, HOME) as client:
        client.headers["user-agent"] = FIREFOX
        at_home = Person(client, ada.email, ada.user_id)
        await at_home.sign_in()
    ada.tokens = at_home.tokens
    (row,) = await rows(limen, sessions)
    return str(row.sid)


async def explained(limen: Limen, sid: str) -> Explanation:
    found = await limen.features.explanations.explain(sid)
    assert found is not None
    return found


async def text(limen: Limen, sid: str) -> str:
    return "\n".join((await explained(limen, sid)).sentences())


async def forget_row(limen: Limen) -> None:
    """Let the row be swept."""
    async with limen.features.database.write() as connection:
        await connection.execute(delete(sessions))


async def test_a_session_that_lives(
    limen: Limen, ada: Person, sid: str, clock: ManualClock
) -> None:
    clock.tick(60)
    await ada.refresh()
    clock.tick(60)
    await ada.refresh()

    found = await explained(limen, sid)
    assert (found.state, found.refreshed, found.user_id) == ("lives", 2, ada.user_id)
    assert re.fullmatch(
        rf"Session {sid} of account {ada.user_id}\.\n"
        rf"It began at {TIME} with a sign-in from {HOME}, with Firefox on Linux\.\n"
        rf"It was refreshed 2 times, the last time at {TIME}\.\n"
        rf"It lives: nobody has ended it\. It lapses at {TIME}, unless it is refreshed before\.",
        "\n".join(found.sentences()),
    )


async def test_a_replayed_session(limen: Limen, ada: Person, sid: str, clock: ManualClock) -> None:
    """With its row and without: the trail knows it all."""
    stolen = ada.tokens["refresh_token"]
    for _ in range(3):
        clock.tick(60)
        await ada.refresh()
    clock.tick(60)
    async with calling_from(limen, ELSEWHERE) as thief:
        thief.headers["user-agent"] = CURL
        assert (await Person(thief, "", "").refresh(stolen)).status_code == 401

    told = await text(limen, sid)
    assert re.fullmatch(
        rf"Session {sid} of account {ada.user_id}\.\n"
        rf"It began at {TIME} with a sign-in from {HOME}, with Firefox on Linux\.\n"
        rf"It was refreshed 3 times, the last time at {TIME}\.\n"
        rf"It ended at {TIME}: a refresh token that had been used before was presented again from "
        rf"{ELSEWHERE}, with curl\.\n"
        r"So somebody had a copy, and the session was ended for both\.\n"
        r"It was the token that the sign-in had handed out, "
        r"and the session had come to refresh 3\.",
        told.replace("curl/8.5.0", "curl"),
    )
    await forget_row(limen)
    assert (await text(limen, sid)).splitlines() == [
        line.partition(", the last time")[0] + ("." if ", the last time" in line else "")
        for line in told.splitlines()
    ]


async def test_a_client_that_replayed_its_own_token(limen: Limen, ada: Person, sid: str) -> None:
    """A retry without a key, after a lost answer, is what most replays are."""
    async with calling_from(limen, HOME) as client:
        ada.http = client
        await ada.refresh()
        used = ada.tokens["refresh_token"]
        answers = [(await ada.refresh()).status_code, (await ada.refresh(used)).status_code]
    assert answers == [200, 401]

    told = await text(limen, sid)
    assert "It was the token that refresh 1 had handed out" in told
    assert "perhaps the client itself, which had lost an answer" in told


def by_operator(change: Callable[[Limen, str], Awaitable[None]]) -> object:
    async def end(limen: Limen, ada: Person) -> None:
        with coming_from(Origin("operator")):
            await change(limen, ada.user_id)

    return end


async def signs_out(_limen: Limen, ada: Person) -> None:
    await ada.log_out()


async def signs_out_by_refresh_token(_limen: Limen, ada: Person) -> None:
    await ada.http.post(f"{AUTH}/logout", json={"refresh_token": ada.tokens["refresh_token"]})


def changed(kind: str) -> object:
    return by_operator(lambda limen, user: limen.features.accounts.change(user, kind))  # type: ignore[arg-type]


ENDS = {
    "logout": (signs_out, "somebody who had its tokens signed out from 127.0.0.1"),
    "logout by refresh token": (
        signs_out_by_refresh_token,
        "somebody who had its tokens signed out from 127.0.0.1",
    ),
    "disabled": (
        by_operator(lambda limen, user: limen.features.accounts.disable(user)),
        "the account was disabled, by an operator, on the command line.",
    ),
    "password_changed": (
        by_operator(lambda limen, user: limen.features.accounts.set_password(user, "pass " * 5)),
        "the account was given another password, by an operator",
    ),
    "ended_by_operator": (
        by_operator(lambda limen, user: limen.features.accounts.end_sessions(user)),
        "the sessions of the account were ended, by an operator",
    ),
    "deleted": (
        by_operator(lambda limen, user: limen.features.accounts.delete(user)),
        "the account was deleted, by an operator",
    ),
    "password_reset": (changed("password_reset"), "the password was set anew, with a code"),
    "email_changed": (changed("email_changed"), "the account was given another e-mail address"),
    "reset_required": (changed("reset_required"), "the password was made worthless until"),
}


@pytest.mark.parametrize("way", ENDS)
async def test_a_session_that_was_ended(limen: Limen, ada: Person, sid: str, way: str) -> None:
    end, words = ENDS[way]
    await end(limen, ada)  # type: ignore[operator]

    found = await explained(limen, sid)
    assert (found.state, found.reason) == ("ended", way.partition(" ")[0])
    assert words in found.sentences()[-1]
    assert re.match(rf"It ended at {TIME}: ", found.sentences()[-1])


@pytest.mark.parametrize(
    ("where", "words"),
    [
        (
            Origin("account", "a" * 32, ELSEWHERE, FIREFOX),
            "by the account itself from 203.0.113.9, with",
        ),
        (Origin("account", "c" * 32), f"by account {'c' * 32}."),
        (Origin("program"), "by the application that limen is part of."),
        (Origin("limen"), "by limen itself."),
        (Origin("anonymous", address=ELSEWHERE), "without an access token from 203.0.113.9."),
    ],
)
async def test_who_ended_it_is_told(limen: Limen, where: Origin, words: str) -> None:
    await happen(limen, SessionEnded("5" * 32, "ended_by_owner", "a" * 32, 0), where=where)

    told = (await explained(limen, "5" * 32)).sentences()
    assert f"its owner ended it, {words}" in told[-1]
    assert told[1:3] == ["Its sign-in is not in the trail any more.", "It was never refreshed."]


async def test_a_session_that_lapsed(limen: Limen, sid: str, clock: ManualClock) -> None:
    clock.tick(7 * DAY)
    found = await explained(limen, sid)
    assert (found.state, found.lapses_at) == ("lapsed", clock())
    assert re.search(rf"Nobody ended it\. It lapsed by itself at {TIME}: ", await text(limen, sid))

    await forget_row(limen)
    assert "Nobody ended it. It lapsed by itself: it had not been" in await text(limen, sid)


async def test_a_session_from_before_the_trail(limen: Limen, ada: Person, sid: str) -> None:
    """Its row tells, for as long as it is there."""
    await ada.log_out()
    await limen.features.audit.seal()
    async with limen.features.database.write() as connection:
        await connection.execute(delete(audit))

    found = await explained(limen, sid)
    assert found.started is not None
    assert (found.state, found.reason, found.started.address) == ("ended", "logout", HOME)
    assert (await explained(limen, sid)).sentences()[-1].endswith("its tokens signed out.")
    other = replace(found, reason="disabled")
    assert other.sentences()[-1].endswith("and by whom is not in the trail.")


async def test_where_a_person_was_is_not_told_once_it_was_erased(
    limen: Limen, ada: Person, sid: str
) -> None:
    await ada.log_out()
    await limen.features.erasure.erase(ada.user_id)

    told = await text(limen, sid)
    assert HOME not in told
    assert "127.0.0.1" not in told
    assert "Firefox" not in told


async def test_of_an_unknown_session_nothing_is_told(limen: Limen) -> None:
    for sid in ("f" * 32, "", "\0", "'"):
        assert await limen.features.explanations.explain(sid) is None


async def test_the_session_of_somebody_else_is_another_one(limen: Limen, ada: Person) -> None:
    bob = await somebody(limen, ada.http, "bob@example.com")
    await bob.log_out()
    (alive,) = [row.sid for row in await rows(limen, sessions) if row.ended_at is None]

    assert (await explained(limen, alive)).state == "lives"


def test_there_are_words_for_every_reason() -> None:
    assert set(REASONS) == set(get_args(EndReason))
    assert PASSWORD not in json.dumps(REASONS)
