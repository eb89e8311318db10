"""The outbox: written with its cause, delivered at least once, tried again, and given up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from sqlalchemy import update

from limen.clock import SECOND
from limen.database.schema import outbox as table
from limen.deliveries import LATE, Summary
from limen.errors import DatabaseUnavailable
from limen.events import Event, Events, Posted
from limen.features import Features
from limen.limen import Limen
from limen.memory import Memory
from limen.opening import opened
from limen.outbox import BATCH, LEASE, LONGEST_ANSWER, PAUSES, Letter, NotDelivered, Undeliverable
from limen.settings import Settings
from limen.sweep import KEPT_AFTER_DELIVERY
from tests.clock import ManualClock
from tests.conftest import CHEAPEST
from tests.stored import everything, moved_away, rows

pytestmark = pytest.mark.anyio

DAY = 86400
CONTENT = {"to": "ada@example.com", "code": "618034"}
LEASE_SECONDS = LEASE // SECOND


class Carrier:
    """Delivers letters, unless it is told to raise something, or to wait."""

    def __init__(self) -> None:
        self.fails_with: Exception | None = None
        self.letters: list[Letter] = []
        self.taken = asyncio.Event()
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def __call__(self, letter: Letter) -> str:
        self.letters.append(letter)
        self.taken.set()
        await self.goes_on.wait()
        if self.fails_with is not None:
            raise self.fails_with
        return "250 accepted"

    @property
    def carried(self) -> list[str]:
        return [letter.id for letter in self.letters]


class House:
    """A limen that works off its outbox only when it is asked to."""

    def __init__(self, limen: Limen, features: Features, happened: list[Event]) -> None:
        limen._features = features
        self.limen = limen
        self.features = features
        self.happened = happened
        self.carrier = Carrier()
        features.outbox.carried_by("webhook", self.carrier)

    async def put(self, useful_for: int = DAY) -> str:
        async with self.features.log.change() as change:
            return await self.features.outbox.put(
                change, "webhook", "a test", CONTENT, user_id="u1", useful_for=useful_for
            )

    async def work(self) -> None:
        await self.features.outbox.work("webhook")

    async def row(self, letter: str) -> Any:
        (found,) = [row for row in await rows(self.limen, table) if row.id == letter]
        return found

    @property
    def outcomes(self) -> list[str]:
        return [event.outcome for event in self.happened if isinstance(event, Posted)]


@asynccontextmanager
async def opening(settings: Settings, clock: ManualClock) -> AsyncIterator[House]:
    happened: list[Event] = []
    events, memory = Events(happened.append), Memory.of(settings, clock)
    async with opened(settings, memory, clock=clock, events=events, cost=CHEAPEST) as features:
        yield House(Limen(settings, clock=clock), features, happened)


@pytest.fixture
async def house(settings: Settings, clock: ManualClock) -> AsyncIterator[House]:
    async with opening(settings, clock) as house:
        yield house


@pytest.fixture
async def neighbour(house: House, clock: ManualClock) -> AsyncIterator[House]:
    """Another process on the same database."""
    async with opening(house.limen.settings, clock) as neighbour:
        yield neighbour


async def test_a_letter_is_delivered_once_and_its_content_goes(house: House) -> None:
    letter = await house.put()
    await house.work()
    await house.work()

    (carried,) = house.carrier.letters
    assert (carried.id, carried.kind, carried.subject) == (letter, "webhook", "a test")
    assert (carried.user_id, carried.attempts, carried.content) == ("u1", 1, CONTENT)
    row = await house.row(letter)
    assert (row.outcome, row.answer, row.sealed, row.due_at) == (
        *("delivered", "250 accepted", None, None),
    )
    assert house.outcomes == ["delivered"]


async def test_what_a_failed_transaction_has_put_in_is_not_there(house: House) -> None:
    with suppress(ZeroDivisionError):
        async with house.features.log.change() as change:
            await house.features.outbox.put(change, "webhook", "a test", CONTENT, useful_for=DAY)
            raise ZeroDivisionError
    await house.work()

    assert house.carrier.carried == []
    assert await rows(house.limen, table) == []


async def test_nothing_of_a_letter_can_be_read_in_the_database(house: House) -> None:
    letter = await house.put()
    stored = await everything(house.limen)

    assert letter.encode() in stored
    assert b"618034" not in stored
    assert b"ada@" not in stored
    assert "618034" not in repr(house.carrier.letters)


async def test_a_letter_cannot_be_moved_to_another_row(house: House) -> None:
    first, second = await house.put(), await house.put()
    sealed = (await house.row(first)).sealed
    async with house.features.database.write() as connection:
        await connection.execute(update(table).where(table.c.id == second).values(sealed=sealed))
    await house.work()

    assert house.carrier.carried == [first]
    row = await house.row(second)
    assert (row.outcome, row.answer) == ("failed", "sealed under a secret that has gone")


async def test_one_that_may_be_read_afterwards_stays_sealed(house: House) -> None:
    house.features.outbox.carried_by("webhook", house.carrier, keeps_content=True)
    letter = await house.put()
    await house.work()

    row = await house.row(letter)
    assert (row.outcome, row.due_at) == ("delivered", None)
    assert row.sealed is not None
    assert b"618034" not in row.sealed


async def test_a_failure_is_repeated_later_and_later(house: House, clock: ManualClock) -> None:
    house.carrier.fails_with = NotDelivered("450 recipient refused")
    letter = await house.put(useful_for=30 * DAY)
    for number, pause in enumerate([*PAUSES, PAUSES[-1], PAUSES[-1]], 1):
        await house.work()
        assert len(house.carrier.letters) == number
        row = await house.row(letter)
        assert (row.outcome, row.answer) == ("waiting", "450 recipient refused")
        clock.tick(pause - 1)
        await house.work()
        assert len(house.carrier.letters) == number
        clock.tick(1)

    house.carrier.fails_with = None
    await house.work()
    assert house.carrier.letters[-1].attempts == len(PAUSES) + 3
    assert house.outcomes == ["retried"] * (len(PAUSES) + 2) + ["delivered"]


async def test_what_cannot_be_delivered_is_given_up_at_once(house: House) -> None:
    house.carrier.fails_with = Undeliverable("550 recipient refused")
    letter = await house.put()
    await house.work()
    await house.work()

    row = await house.row(letter)
    assert (row.outcome, row.answer, row.sealed, row.due_at) == (
        *("failed", "550 recipient refused", None, None),
    )
    assert (house.outcomes, len(house.carrier.letters)) == (["failed"], 1)


async def test_what_would_be_repeated_too_late_is_given_up(
    house: House, clock: ManualClock
) -> None:
    house.carrier.fails_with = NotDelivered("no answer in time")
    letter = await house.put(useful_for=PAUSES[0] + PAUSES[1] - 1)
    await house.work()
    clock.tick(PAUSES[0])
    await house.work()

    row = await house.row(letter)
    assert (row.outcome, row.answer, row.sealed) == ("failed", "no answer in time", None)
    assert house.outcomes == ["retried", "failed"]


async def test_what_nobody_was_there_to_deliver_is_not_delivered_when_it_is_useless(
    house: House, clock: ManualClock
) -> None:
    letter = await house.put(useful_for=3600)
    clock.tick(3601)
    await house.work()

    assert house.carrier.carried == []
    row = await house.row(letter)
    assert (row.outcome, row.answer) == ("failed", "nobody was there to deliver it")


async def test_a_mistake_of_ours_is_repeated_and_logged_without_the_letter(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.carrier.fails_with = ZeroDivisionError("division by zero")
    letter = await house.put()
    await house.work()

    row = await house.row(letter)
    assert (row.outcome, row.answer) == ("waiting", "ZeroDivisionError")
    assert "a letter could not be delivered" in caplog.text
    assert "ada@" not in caplog.text
    assert "618034" not in caplog.text


async def test_a_long_answer_is_cut(house: House) -> None:
    house.carrier.fails_with = Undeliverable("x" * 1000)
    letter = await house.put()
    await house.work()

    assert (await house.row(letter)).answer == "x" * LONGEST_ANSWER


async def test_one_letter_does_not_hold_up_the_others(house: House) -> None:
    letters = [await house.put() for _ in range(2 * BATCH + 3)]
    await house.work()

    assert sorted(house.carrier.carried) == sorted(letters)
    assert house.outcomes == ["delivered"] * len(letters)


async def test_no_more_are_taken_than_may_be_carried_at_once(house: House) -> None:
    carrier, at_once = house.carrier, []

    async def counted(letter: Letter) -> str:
        under_way.add(letter.id)
        at_once.append(len(under_way))
        await asyncio.sleep(0.01)
        under_way.discard(letter.id)
        return await carrier(letter)

    under_way: set[str] = set()
    house.features.outbox.carried_by("webhook", counted, at_once=3)
    letters = [await house.put() for _ in range(7)]
    await house.work()

    assert sorted(carrier.carried) == sorted(letters)
    assert max(at_once) == 3


async def test_two_processes_deliver_each_letter_once(house: House, neighbour: House) -> None:
    letters = [await house.put() for _ in range(3 * BATCH)]
    await asyncio.gather(house.work(), neighbour.work(), house.work(), neighbour.work())

    carried = house.carrier.carried + neighbour.carrier.carried
    assert sorted(carried) == sorted(letters)
    shares = len(house.carrier.carried), len(neighbour.carrier.carried)
    print(f"shares of two processes: {shares}")


async def test_a_process_that_dies_leaves_its_letter_to_the_next(
    house: House, neighbour: House, clock: ManualClock
) -> None:
    house.carrier.goes_on.clear()
    letter = await house.put()
    dying = asyncio.create_task(house.work())
    await house.carrier.taken.wait()
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)

    clock.tick(LEASE_SECONDS - 1)
    await neighbour.work()
    assert neighbour.carrier.carried == []

    clock.tick(1)
    await neighbour.work()
    assert neighbour.carrier.carried == [letter]
    assert neighbour.carrier.letters[0].attempts == 2
    assert (await house.row(letter)).outcome == "delivered"


@pytest.mark.parametrize("failure", [NotDelivered("late"), Undeliverable("late"), None])
async def test_whoever_comes_back_after_his_lease_changes_nothing(
    house: House, neighbour: House, clock: ManualClock, failure: Exception | None
) -> None:
    house.carrier.goes_on.clear()
    house.carrier.fails_with = failure
    letter = await house.put()
    stalled = asyncio.create_task(house.work())
    await house.carrier.taken.wait()
    clock.tick(LEASE_SECONDS)
    await neighbour.work()
    house.carrier.goes_on.set()
    await stalled

    row = await house.row(letter)
    assert (row.outcome, row.attempts, row.due_at) == ("delivered", 2, None)
    assert (house.outcomes, neighbour.outcomes) == ([], ["delivered"])
    clock.tick(DAY)
    await house.work()
    assert len(house.carrier.letters) == 1


async def test_without_a_database_nothing_is_lost(house: House, clock: ManualClock) -> None:
    house.carrier.goes_on.clear()
    letter = await house.put()
    working = asyncio.create_task(house.work())
    await house.carrier.taken.wait()
    with moved_away(house.limen):
        house.carrier.goes_on.set()
        with pytest.raises(DatabaseUnavailable):
            await working
    clock.tick(LEASE_SECONDS)
    await house.work()

    assert house.carrier.carried == [letter, letter]  # at least once
    assert (await house.row(letter)).outcome == "delivered"


async def test_a_round_ends_when_the_last_letter_is_through(house: House) -> None:
    """One finds the database away; the other must not go on when nobody waits for it any more."""
    through: list[str] = []

    async def carry(letter: Letter) -> str:
        if letter.id == first:
            raise DatabaseUnavailable
        await asyncio.sleep(0.1)
        through.append(letter.id)
        return "250 accepted"

    house.features.outbox.carried_by("webhook", carry)
    first, second = await house.put(), await house.put()
    with pytest.raises(DatabaseUnavailable):
        await house.work()

    assert through == [second]
    assert (await house.row(second)).outcome == "delivered"


async def test_a_change_hurries_its_letter_on_its_way(limen: Limen) -> None:
    """Long before the next round, and only when it is committed."""
    carrier = Carrier()
    limen.features.outbox.answered_by("a test", carrier)
    for _ in range(3):
        carrier.taken.clear()
        async with limen.features.log.change() as change:
            await limen.features.outbox.put(change, "request", "a test", {}, useful_for=DAY)
            assert not carrier.taken.is_set()
        async with asyncio.timeout(10):
            await carrier.taken.wait()

    assert len(carrier.letters) == 3


async def test_who_waits_for_deliveries_finds_them_done(limen: Limen) -> None:
    carrier = Carrier()
    limen.features.outbox.answered_by("a test", carrier)
    for number in range(3):
        async with limen.features.log.change() as change:
            await limen.features.outbox.put(change, "request", "a test", {}, useful_for=DAY)
        await limen.features.outbox.caught_up("request")
        assert len(carrier.letters) == number + 1


async def test_what_is_done_with_is_swept_after_some_days(house: House, clock: ManualClock) -> None:
    done = await house.put()
    await house.work()
    clock.tick(1)
    waiting = await house.put(useful_for=365 * DAY)
    clock.tick(KEPT_AFTER_DELIVERY / SECOND - 2)
    await house.features.sweep.once()
    assert {row.id for row in await rows(house.limen, table)} == {done, waiting}

    clock.tick(2)
    await house.features.sweep.once()
    assert [row.id for row in await rows(house.limen, table)] == [waiting]


async def test_an_operator_sees_what_became_of_letters_and_no_more(
    house: House, clock: ManualClock
) -> None:
    delivered = await house.put()
    await house.work()
    clock.tick(1)
    house.carrier.fails_with = Undeliverable("550 recipient refused")
    failed = await house.put()
    await house.work()
    clock.tick(1)
    waiting = await house.put()
    clock.tick(1)

    deliveries = house.features.deliveries
    found = await deliveries.newest(10, delivered=True)
    assert [(one.id, one.outcome, one.attempts, one.answer) for one in found] == [
        (waiting, "waiting", 0, None),
        (failed, "failed", 1, "550 recipient refused"),
        (delivered, "delivered", 1, "250 accepted"),
    ]
    assert [one.id for one in await deliveries.newest(10, delivered=False)] == [waiting, failed]
    assert [one.id for one in await deliveries.newest(1, delivered=True)] == [waiting]
    assert "ada@" not in repr(found)

    assert await deliveries.summary() == Summary(waiting=1, late=0, failed=1)
    clock.tick(LATE / SECOND + 1)
    assert await deliveries.summary() == Summary(waiting=1, late=1, failed=1)
