"""A session's life: it starts only for the account that was verified, and ends for all at once."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from limen.database.connections import UnexpectedRows
from limen.database.schema import revocations, sessions
from limen.events import Event, SessionEnded
from limen.limen import Limen
from limen.settings import Settings
from tests.clock import ManualClock
from tests.people import Person, calling_from, somebody
from tests.running import running
from tests.stored import everything, rows

pytestmark = pytest.mark.anyio

Voiding = Callable[[Limen, str], Awaitable[None]]

VOIDING: dict[str, Voiding] = {
    "disabled": lambda limen, user_id: limen.features.accounts.disable(user_id),
    "another password": lambda limen, user_id: limen.features.accounts.set_password(
        user_id, "quite another staple battery"
    ),
    "sessions ended": lambda limen, user_id: limen.features.accounts.end_sessions(user_id),
}


@pytest.fixture(params=VOIDING)
def void(request: pytest.FixtureRequest) -> Voiding:
    """One of the ways to void all that an account was given."""
    return VOIDING[request.param]


async def test_voiding_ends_refresh_and_access_here_at_once(
    limen: Limen, ada: Person, void: Voiding
) -> None:
    await ada.sign_in()
    eve = await somebody(limen, ada.http, "eve@example.com")

    await void(limen, ada.user_id)

    assert (await ada.me()).json()["code"] == "invalid_token"
    assert (await ada.refresh()).json()["code"] == "invalid_refresh_token"
    assert (await eve.me()).status_code == 200
    assert (await eve.refresh()).status_code == 200


async def test_voiding_reaches_another_process_within_moments(
    limen: Limen, ada: Person, settings: Settings, clock: ManualClock, void: Voiding
) -> None:
    async with running(settings, clock) as other, calling_from(other, "127.0.0.1") as there:
        elsewhere = Person(there, ada.email, ada.user_id, tokens=ada.tokens)
        assert (await elsewhere.me()).status_code == 200

        await void(limen, ada.user_id)
        refused_refresh = await elsewhere.refresh()
        async with asyncio.timeout(1.5):
            while (await elsewhere.me()).status_code != 401:  # noqa: ASYNC110  another process acts
                await asyncio.sleep(0.05)

    assert refused_refresh.status_code == 401


async def test_a_session_of_a_password_that_was_changed_meanwhile_never_starts(
    limen: Limen, ada: Person
) -> None:
    """The account is read before its password is verified, and that takes a while."""
    accounts, database = limen.features.accounts, limen.features.database
    read = await accounts.get(ada.user_id)
    await accounts.set_password(ada.user_id, "quite another staple battery")

    with pytest.raises(UnexpectedRows):
        async with database.write() as connection:
            limen.features.sessions.start(
                connection, user_id=read.user_id, cv=read.cv, scope=read.scope
            )

    assert len(await rows(limen, sessions)) == 1  # that of the sign-in


async def test_enabling_an_account_brings_no_session_back(limen: Limen, ada: Person) -> None:
    await limen.features.accounts.disable(ada.user_id)
    await limen.features.accounts.enable(ada.user_id)

    assert (await ada.refresh()).status_code == 401
    assert (await ada.me()).status_code == 401
    assert (await ada.sign_in()).status_code == 200


@pytest.mark.usefixtures("ada")
async def test_a_session_ends_once(limen: Limen, happened: list[Event]) -> None:
    (row,) = await rows(limen, sessions)

    for _ in range(3):
        await limen.features.sessions.end_by_sid(row.sid, "ended_by_operator")

    (ended,) = await rows(limen, sessions)
    assert ended.end_reason == "ended_by_operator"
    assert happened.count(SessionEnded(row.sid, "ended_by_operator", row.user_id)) == 1
    assert [entry.kind for entry in await rows(limen, revocations)].count("session") == 1


async def test_a_session_is_one_row_however_often_it_is_refreshed(
    limen: Limen, ada: Person
) -> None:
    for _ in range(10):
        await ada.refresh()

    assert len(await rows(limen, sessions)) == 1


async def test_the_database_knows_no_token_and_no_fid(limen: Limen, ada: Person) -> None:
    token = ada.tokens["refresh_token"]
    fid = limen.features.tokens.open_refresh_token(token).fid
    await ada.refresh(key="a-retry-key-1234567")
    stored = await everything(limen)

    secrets = [token, fid, ada.tokens["refresh_token"], ada.tokens["access_token"]]
    assert [
        secret for secret in [*secrets, "a-retry-key-1234567"] if secret.encode() in stored
    ] == []
    assert ada.user_id.encode() in stored  # the search would have found them


async def test_what_is_no_sid_keeps_no_session(limen: Limen, ada: Person) -> None:
    """Whatever the database makes of it: none is left out, rather than all."""
    for odd in ("", "odd", "F" * 32):
        await ada.sign_in()
        async with limen.features.log.change() as change:
            await limen.features.sessions.void(change, ada.user_id, "password_changed", keep=odd)

        assert [row.sid for row in await rows(limen, sessions) if row.ended_at is None] == [], odd
