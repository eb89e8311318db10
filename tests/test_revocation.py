"""The log of what was revoked: complete, in order, known everywhere, and never a silent yes."""

import asyncio
import dataclasses
import sqlite3
from contextlib import closing, suppress

import pytest

from limen.clock import SECOND
from limen.database.address import sqlite_path
from limen.database.schema import revocations
from limen.errors import ConfigurationError, DatabaseUnavailable
from limen.limen import Limen
from limen.revocation import MARGIN
from limen.settings import Settings
from limen.verify.errors import RevocationsStale
from limen.verify.revocations import BOUND_SECONDS
from limen.verify.verifier import MAX_LIFETIME_SECONDS
from tests.clock import ManualClock
from tests.conftest import on_sqlite
from tests.crowds import until
from tests.people import Person, calling_from, somebody
from tests.running import running
from tests.stored import aged, rows

pytestmark = pytest.mark.anyio


async def test_the_numbers_follow_each_other_in_the_order_of_the_commits(
    limen: Limen, ada: Person
) -> None:
    people = [await somebody(limen, ada.http, f"p{number}@example.com") for number in range(20)]
    await asyncio.gather(*(person.log_out() for person in people))
    await limen.features.accounts.disable(ada.user_id)

    log = await rows(limen, revocations)

    assert [entry.seq for entry in log] == list(range(1, len(log) + 1))
    assert [entry.kind for entry in log] == ["keys"] + ["session"] * 20 + ["account"]
    assert (log[-1].subject, log[-1].value) == (ada.user_id, 2)


async def test_a_restart_resurrects_nothing(settings: Settings, clock: ManualClock) -> None:
    async with running(settings, clock) as limen, calling_from(limen, "127.0.0.1") as http:
        signed_out = await somebody(limen, http)
        disabled = await somebody(limen, http, "eve@example.com")
        untouched = await somebody(limen, http, "bob@example.com")
        await signed_out.log_out()
        await limen.features.accounts.disable(disabled.user_id)

    async with running(settings, clock) as limen, calling_from(limen, "127.0.0.1") as http:
        for person in (signed_out, disabled, untouched):
            person.http = http
        first_answers = [
            (await person.me()).status_code for person in (signed_out, disabled, untouched)
        ]

    assert first_answers == [401, 401, 200]


async def test_what_was_not_committed_is_not_revoked(limen: Limen, ada: Person) -> None:
    claims = limen.verifier.check(ada.tokens["access_token"])
    with suppress(DatabaseUnavailable):
        async with limen.features.log.change() as change:
            await change.revoke_session(claims.sid)
            raise DatabaseUnavailable

    assert (await ada.me()).status_code == 200
    assert [entry.kind for entry in await rows(limen, revocations)] == ["keys"]


async def test_an_entry_goes_when_no_token_needs_it_and_not_before(
    limen: Limen, ada: Person, clock: ManualClock
) -> None:
    clock.now -= clock.now % SECOND
    await ada.sign_in()
    await ada.log_out()

    kept = []
    for seconds in (1800, MARGIN - 1, 1):  # the life of an access token, and then the margin
        clock.tick(seconds)
        await limen.features.keep_house()
        kept.append([entry.kind for entry in await rows(limen, revocations)].count("session"))

    assert kept == [1, 1, 0]
    assert len(limen._memory.revocations) == 0


async def test_an_account_that_was_voided_with_other_settings_stays_so_while_a_token_lives(
    settings: Settings, clock: ManualClock
) -> None:
    """An operator's shell may lack the settings of the server."""
    longest = dataclasses.replace(settings, access_token_lifetime=MAX_LIFETIME_SECONDS)
    async with running(longest, clock) as server, calling_from(server, "127.0.0.1") as http:
        ada = await somebody(server, http)
        async with running(settings, clock) as shell:
            await shell.features.accounts.disable(ada.user_id)
        await server.features.following.catch_up()
        clock.tick(MAX_LIFETIME_SECONDS - 1)
        await server.features.keep_house()

        assert (await ada.me()).json()["detail"].startswith("The session of this access token")
    with pytest.raises(ConfigurationError):
        dataclasses.replace(settings, access_token_lifetime=MAX_LIFETIME_SECONDS + 1)


@on_sqlite
async def test_the_shorter_log_of_a_restored_database_is_followed_from_its_beginning(
    limen: Limen, ada: Person, clock: ManualClock
) -> None:
    eve = await somebody(limen, ada.http, "eve@example.com")
    path = sqlite_path(limen.settings.database_url)
    assert path is not None
    backup = path.with_name("backup.db")
    with closing(sqlite3.connect(path)) as live, closing(sqlite3.connect(backup)) as copy:
        live.backup(copy)
    for _ in range(3):
        await ada.sign_in()
        await ada.log_out()
    await limen.features.following.catch_up()

    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    backup.replace(path)
    async with running(limen.settings, clock) as other:
        await other.features.accounts.disable(eve.user_id)
    await limen.features.following.catch_up()

    assert (await eve.me()).status_code == 401
    assert (await ada.me()).status_code == 401  # what this process knew, it knows


async def test_a_stale_memory_is_503_never_401_and_recovers_by_itself(
    limen: Limen, ada: Person
) -> None:
    async with aged(limen, BOUND_SECONDS + 1):
        stale = await ada.me()
        refused = limen._memory.revocations.is_fresh

    assert (stale.status_code, stale.json()["code"]) == (503, "revocations_stale")
    assert int(stale.headers["Retry-After"]) > 0
    assert "WWW-Authenticate" not in stale.headers
    assert refused is False
    async with asyncio.timeout(3):
        await until(lambda: limen._memory.revocations.is_fresh)
    assert (await ada.me()).status_code == 200


async def test_a_session_known_as_ended_stays_401_when_the_memory_is_stale(
    limen: Limen, ada: Person
) -> None:
    await ada.log_out()
    async with aged(limen, BOUND_SECONDS + 1):
        assert (await ada.me()).status_code == 401


async def test_a_memory_is_believed_for_ten_seconds(limen: Limen, ada: Person) -> None:
    token = ada.tokens["access_token"]
    async with aged(limen, BOUND_SECONDS - 1):
        assert limen.verifier.check(token).user_id == ada.user_id
    async with aged(limen, BOUND_SECONDS):
        with pytest.raises(RevocationsStale):
            limen.verifier.check(token)
