"""What happens and the letter that tells of it are committed together, or neither is."""

import asyncio

import httpx2
import pytest

from limen import outbox, webhook_letters
from limen.clock import system_clock
from limen.database.schema import outbox as letters
from limen.errors import DatabaseUnavailable, EmailTaken
from limen.events import Events
from limen.limen import Limen
from limen.memory import Memory
from limen.opening import opened
from limen.settings import Settings
from limen.webhook_letters import WebhookLetter
from tests.clock import ManualClock
from tests.conftest import CHEAPEST
from tests.faults.failing_calls import failing
from tests.people import PASSWORD, Person, calling_from, guess, somebody
from tests.running import running
from tests.stored import moved_away, rows
from tests.test_costs import counted

pytestmark = pytest.mark.anyio

URL = "https://crm.example.com/limen"


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing leaves the house."""
    monkeypatch.setattr(outbox, "ROUND_SECONDS", 3600)


async def listening(limen: Limen, *kinds: str) -> str:
    made = await limen.features.webhooks.create(URL, kinds)
    await limen.features.webhook_letters.refresh()
    return made.id


async def written(limen: Limen) -> list[WebhookLetter]:
    return await limen.features.webhook_letters.newest()


async def test_what_is_rolled_back_is_told_to_nobody(limen: Limen, ada: Person) -> None:
    await listening(limen, "account.changed", "account.registered")
    with pytest.raises(EmailTaken):
        await limen.features.accounts.create(ada.email, PASSWORD)
    with pytest.raises(RuntimeError):
        await rolled_back(limen, ada)

    assert await rows(limen, letters) == []


async def rolled_back(limen: Limen, ada: Person) -> None:
    async with limen.features.log.change() as change:
        await limen.features.changes.make(change, ada.user_id, "disabled")
        raise RuntimeError


async def test_what_cannot_be_told_does_not_happen(limen: Limen, ada: Person) -> None:
    """Whichever call fails, the account is disabled if and only if there is a letter."""
    await listening(limen, "account.changed")
    for number in range(1, 20):
        with failing(limen, number, "refused") as strike:
            try:
                await limen.features.accounts.disable(ada.user_id)
            except DatabaseUnavailable:
                assert strike.hit is not None
        account = await limen.features.accounts.get(ada.user_id)
        assert (account.cv > 1) == bool(await written(limen)), strike.hit
        if strike.hit is None:
            return
    pytest.fail("there is always one more call")


async def test_each_webhook_gets_a_letter_of_its_own_and_of_its_kinds(
    limen: Limen, ada: Person
) -> None:
    first, second = await listening(limen, "sign_in"), await listening(limen, "session.ended")
    both = await listening(limen, "sign_in", "session.ended")
    await ada.sign_in()
    await ada.log_out()
    found = await written(limen)

    assert {(letter.target, letter.subject) for letter in found} == {
        (first, "sign_in"),
        (second, "session.ended"),
        (both, "sign_in"),
        (both, "session.ended"),
    }
    assert len({letter.id for letter in found}) == len(found) == 4
    assert {letter.target for letter in await limen.features.webhook_letters.newest(both)} == {both}


async def test_a_refused_sign_in_is_told_too_and_of_nobody_without_a_name(
    limen: Limen, ada: Person, http: httpx2.AsyncClient
) -> None:
    await listening(limen, "sign_in")
    await guess(http, ada.email)
    await guess(http, "nobody@example.com")

    assert {row.user_id for row in await rows(limen, letters)} == {ada.user_id, None}


async def test_who_listens_to_something_else_costs_a_sign_in_nothing(
    limen: Limen, ada: Person
) -> None:
    await ada.sign_in()
    with counted() as before:
        await ada.sign_in()
    await listening(limen, "account.changed")
    with counted() as after:
        await ada.sign_in()

    assert (len(after.statements), after.commits) == (len(before.statements), before.commits)


async def test_a_letter_is_one_statement_in_the_same_transaction(limen: Limen, ada: Person) -> None:
    await ada.sign_in()
    with counted() as before:
        await ada.sign_in()
    await listening(limen, "sign_in")
    with counted() as after:
        await ada.sign_in()

    assert (len(after.statements), after.commits) == (len(before.statements) + 1, before.commits)


async def test_what_is_written_cannot_be_read_in_the_database(limen: Limen, ada: Person) -> None:
    await listening(limen, "session.ended")
    await ada.log_out()
    (row,) = await rows(limen, letters)

    assert b"logout" not in row.sealed


async def test_a_running_limen_hears_of_new_webhooks_by_itself(
    settings: Settings, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_letters, "ROUND_SECONDS", 0.05)
    async with (
        running(settings, clock) as limen,
        running(settings, clock) as other,
        calling_from(limen, "127.0.0.1") as http,
    ):
        ada = await somebody(limen, http)
        made = await other.features.webhooks.create(URL, ["sign_in"])
        async with asyncio.timeout(10):
            while not await written(limen):
                await ada.sign_in()
        await other.features.webhooks.disable(made.id)
        async with asyncio.timeout(10):
            before: list[WebhookLetter] = []
            while len(now := await written(limen)) != len(before):
                before = now
                await asyncio.sleep(0.2)
                await ada.sign_in()


async def test_while_the_database_is_away_those_that_were_known_go_on(
    limen: Limen, ada: Person
) -> None:
    await listening(limen, "session.ended")
    with moved_away(limen), pytest.raises(DatabaseUnavailable):
        await limen.features.webhook_letters.refresh()
    await ada.log_out()

    assert len(await written(limen)) == 1


async def test_what_a_command_does_is_told(limen: Limen, ada: Person) -> None:
    await listening(limen, "account.changed")
    memory = Memory.of(limen.settings, system_clock)
    async with opened(
        limen.settings,
        memory,
        clock=system_clock,
        events=Events(),
        cost=CHEAPEST,
        to_serve=False,
    ) as features:
        await features.accounts.disable(ada.user_id)

    assert [letter.subject for letter in await written(limen)] == ["account.changed"]
