"""Introspection tells the truth, of every state a token can be in, and changes nothing."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import Table, update

from limen.database.schema import accounts, sessions
from limen.errors import DatabaseUnavailable
from limen.introspection import ActiveAccessToken, ActiveRefreshToken
from limen.limen import Limen
from limen.verify.claims import OWN, Claims
from limen.verify.errors import RevocationsStale
from tests.clock import ManualClock
from tests.people import Person
from tests.stored import aged, moved_away, rows

pytestmark = pytest.mark.anyio

Step = Callable[[Person, Limen, ManualClock], Awaitable[object]]


async def pass_(clock: ManualClock, seconds: int) -> None:
    clock.tick(seconds)


async def rewritten(limen: Limen, table: Table, **values: int) -> None:
    """Write into the rows what no change of limen's own would leave there alone."""
    async with limen.features.database.write() as connection:
        await connection.execute(update(table).values(**values))


async def refreshed_and_restored(ada: Person, limen: Limen) -> None:
    await ada.refresh()
    await rewritten(limen, sessions, gen=0)


async def nothing(*_: object) -> None:
    pass


# What happened before Ada's last two tokens are looked at, and which of them is active then.
LIVES: dict[str, tuple[Step, str]] = {
    "nothing": (nothing, "access refresh"),
    "refreshed": (lambda ada, *_: ada.refresh(), "access refresh"),
    "1799 seconds": (lambda _a, _l, clock: pass_(clock, 1799), "access refresh"),
    "1800 seconds": (lambda _a, _l, clock: pass_(clock, 1800), "refresh"),
    "a week less a second": (lambda _a, _l, clock: pass_(clock, 604799), "refresh"),
    "a week": (lambda _a, _l, clock: pass_(clock, 604800), ""),
    "signed out": (lambda ada, *_: ada.log_out(), ""),
    "disabled": (lambda ada, limen, _: limen.features.accounts.disable(ada.user_id), ""),
    "another password": (
        lambda ada, limen, _: limen.features.accounts.set_password(ada.user_id, "a new long one"),
        "",
    ),
    "a higher cv": (lambda _a, limen, _c: rewritten(limen, accounts, cv=7), "access"),
    "an earlier end": (lambda _a, limen, _c: rewritten(limen, sessions, abs_exp=1), "access"),
    "restored": (lambda ada, limen, _: refreshed_and_restored(ada, limen), "access refresh"),
}


@pytest.mark.parametrize(("life", "active"), LIVES.values(), ids=LIVES)
async def test_a_token_is_active_exactly_if_it_would_be_taken(
    limen: Limen, ada: Person, clock: ManualClock, life: Step, active: str
) -> None:
    await life(ada, limen, clock)
    look = limen.features.introspection.look
    access = await look(ada.tokens["access_token"])
    refresh = await look(ada.tokens["refresh_token"])

    assert isinstance(access, ActiveAccessToken) == ("access" in active)
    assert isinstance(refresh, ActiveRefreshToken) == ("refresh" in active)
    assert (access is None) == ((await ada.me()).status_code == 401)
    assert (refresh is None) == ((await ada.refresh()).status_code == 401)


async def test_who_asks_knows_all_that_who_verifies_knows(limen: Limen, ada: Person) -> None:
    await limen.features.accounts.set_access(ada.user_id, scope="orders", roles="editor author")
    await ada.refresh()
    token = ada.tokens["access_token"]
    found = await limen.features.introspection.look(token)
    assert isinstance(found, ActiveAccessToken)
    members = found.members()

    assert OWN - members.keys() == {"user_id"}  # which is `sub`
    members["user_id"] = members["sub"]
    del members["token_type"]  # of RFC 7662 alone
    assert Claims.from_payload(members) == await limen.verifier.verify(token)


async def test_the_absolute_end_of_a_session_ends_its_refresh_token(
    limen: Limen, ada: Person, clock: ManualClock
) -> None:
    for _ in range(14):
        clock.tick(6 * 86400)
        assert (await ada.refresh()).status_code == 200
    found = await limen.features.introspection.look(ada.tokens["refresh_token"])
    assert isinstance(found, ActiveRefreshToken)
    assert found.expires_at - found.issued_at == 6 * 86400  # the session's, not a week

    clock.tick(6 * 86400)
    assert await limen.features.introspection.look(ada.tokens["refresh_token"]) is None


async def test_looking_at_tokens_changes_nothing(limen: Limen, ada: Person) -> None:
    used = ada.tokens
    await ada.refresh()
    before = await rows(limen, sessions)
    for token in [*used.values(), *ada.tokens.values(), "garbage"]:
        await limen.features.introspection.look(str(token))

    assert await rows(limen, sessions) == before
    assert (await ada.refresh()).status_code == 200


async def test_an_old_refresh_token_is_inactive_and_no_replay(limen: Limen, ada: Person) -> None:
    used = ada.tokens["refresh_token"]
    await ada.refresh()

    assert await limen.features.introspection.look(used) is None
    assert (await ada.me()).status_code == 200
    assert (await ada.refresh()).status_code == 200


async def test_what_may_have_been_revoked_is_not_called_active(limen: Limen, ada: Person) -> None:
    access, refresh = ada.tokens["access_token"], ada.tokens["refresh_token"]
    async with aged(limen, 3600):
        with pytest.raises(RevocationsStale):
            await limen.features.introspection.look(access)
    assert await limen.features.introspection.look(refresh) is not None  # the database knows

    await ada.log_out()
    async with aged(limen, 3600):
        assert await limen.features.introspection.look(access) is None  # known as revoked


async def test_without_the_database_a_refresh_token_is_neither(limen: Limen, ada: Person) -> None:
    with moved_away(limen), pytest.raises(DatabaseUnavailable):
        await limen.features.introspection.look(ada.tokens["refresh_token"])

    assert await limen.features.introspection.look(ada.tokens["refresh_token"]) is not None
