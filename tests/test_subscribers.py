"""An application's subscribers hear what happened, and nothing of what they do changes it."""

import asyncio
import logging

import pytest

from limen import origin, subscribers
from limen.events import AccountChanged, Event, Events, Registered, SessionEnded
from limen.limen import Limen
from limen.settings import Settings
from limen.subscribers import AT_ONCE, Subscribers
from tests.clock import ManualClock
from tests.conftest import CHEAPEST, on_sqlite
from tests.people import Person

pytestmark = pytest.mark.anyio

ADA, BOB = Registered("u-ada"), Registered("u-bob")
DISABLED = AccountChanged("u-ada", "disabled")


async def test_an_async_function_holds_nobody_up() -> None:
    heard: list[Event] = []
    may_go_on = asyncio.Event()
    ours = Subscribers()

    async def slow(event: Event) -> None:
        await may_go_on.wait()
        heard.append(event)

    Events(ours.told_of(Event, slow)).emit(ADA)
    assert heard == []
    may_go_on.set()
    await ours.finish()
    assert heard == [ADA]


async def test_who_asks_for_one_kind_hears_of_that_kind() -> None:
    heard: list[Event] = []
    Events(Subscribers().told_of(AccountChanged, heard.append)).emit(ADA)
    Events(Subscribers().told_of(AccountChanged, heard.append)).emit(DISABLED)

    assert heard == [DISABLED]


async def test_one_that_fails_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    ours = Subscribers()

    async def failing(_: Event) -> None:
        raise RuntimeError

    with caplog.at_level(logging.ERROR, "limen"):
        Events(ours.told_of(Event, failing)).emit(ADA)
        await ours.finish()

    assert [record.getMessage() for record in caplog.records] == ["a subscriber failed"]


async def test_no_more_than_so_many_are_at_work(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Event] = []
    may_go_on = asyncio.Event()
    ours = Subscribers()

    async def slow(event: Event) -> None:
        await may_go_on.wait()
        heard.append(event)

    events = Events(ours.told_of(Event, slow))
    with caplog.at_level(logging.ERROR, "limen"):
        for _ in range(AT_ONCE + 1):
            events.emit(ADA)
    assert [record.getMessage() for record in caplog.records] == [
        "too many subscribers are at work"
    ]
    may_go_on.set()
    await ours.finish()
    assert heard == [ADA] * AT_ONCE

    events.emit(BOB)
    await ours.finish()
    assert heard[-1] == BOB


async def test_one_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscribers, "SECONDS", 0.05)
    ended: list[Event] = []
    ours = Subscribers()

    async def endless(event: Event) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append(event)
            raise

    Events(ours.told_of(Event, endless)).emit(ADA)
    await asyncio.sleep(0)
    await ours.finish()
    assert ended == [ADA]


async def test_it_can_ask_limen_and_knows_who_acts(limen: Limen, ada: Person) -> None:
    told: list[tuple[str, str]] = []

    @limen.on(AccountChanged)
    async def tell(event: AccountChanged) -> None:
        account = await limen.features.accounts.get(event.user_id)
        told.append((account.email, origin.present().actor))

    with origin.coming_from(origin.Origin("operator")):
        await limen.features.accounts.disable(ada.user_id)
    await limen._subscribers.finish()
    assert told == [(ada.email, "operator")]


async def test_both_kinds_of_function_are_told_what_an_application_does(
    limen: Limen, ada: Person
) -> None:
    heard: list[Event] = []
    limen.on(SessionEnded)(heard.append)

    @limen.on(SessionEnded)
    async def too(event: SessionEnded) -> None:
        heard.append(event)

    await ada.log_out()
    await limen._subscribers.finish()
    assert [type(event) for event in heard] == [SessionEnded] * 2


@on_sqlite
async def test_limen_stops_when_they_have_come_to_their_end(
    settings: Settings, clock: ManualClock
) -> None:
    heard: list[str] = []

    async def tell(event: Event) -> None:
        if isinstance(event, Registered):
            await asyncio.sleep(0.05)
            heard.append((await limen.features.accounts.get(event.user_id)).email)

    limen = Limen(settings, clock=clock, cost=CHEAPEST, subscribers=[tell])
    async with limen.lifespan():
        await limen.features.accounts.create("ada@example.com", "a good long one")
        assert heard == []
    assert heard == ["ada@example.com"]
