"""The trail goes back as far as it is to be kept, and says itself where it begins."""

import logging

import pytest

from limen.audit import BATCH
from limen.audit_chain import BEGINNING, PRUNED, Link
from limen.audit_tampering import Broken
from limen.clock import SECOND
from limen.database.schema import sweeps
from limen.errors import DatabaseUnavailable
from limen.events import Event, SignIn, Swept
from limen.limen import Limen
from limen.settings import Settings
from tests.clock import ManualClock
from tests.stored import moved_away, rows
from tests.trails import ADA, happen, linked, live, put, stored

pytestmark = pytest.mark.anyio

DAY = 86400
KEPT = 400 * DAY


async def signed_in_daily(limen: Limen, clock: ManualClock, days: int) -> None:
    for _ in range(days):
        clock.tick(DAY)
        await happen(limen, SignIn("success", ADA))


async def test_what_is_older_than_the_retention_goes_and_the_rest_verifies(
    limen: Limen, clock: ManualClock, happened: list[Event]
) -> None:
    await signed_in_daily(limen, clock, 5)
    noted = [Link.noted(str(Link.of(entry))) for entry in await stored(limen)]
    clock.tick(KEPT - 3 * DAY)
    happened.clear()
    await limen.features.sweep.round()

    entries = await stored(limen)
    assert [entry.seq for entry in entries] == [4, 5, 6, 7]
    assert entries[-1].kind == PRUNED
    assert Swept("audit", 3) in happened
    report = await limen.features.audit.verify(*noted)
    assert (report.broken, report.first, report.entries) == (None, 4, 4)
    assert report.older == tuple(noted[:2])  # the third is the one that the first entry follows


async def test_nothing_goes_sooner(limen: Limen, clock: ManualClock) -> None:
    await live(limen, 3)
    clock.tick(KEPT - 1)
    await limen.features.sweep.round()
    assert [entry.seq for entry in await stored(limen)] == [1, 2, 3, 4]

    clock.tick(1)
    await limen.features.sweep.round()
    assert [entry.kind for entry in await stored(limen)] == [PRUNED]
    assert (await limen.features.audit.verify()).broken is None


async def test_an_old_entry_behind_a_younger_one_waits_for_it(
    limen: Limen, clock: ManualClock
) -> None:
    """They go from the beginning only."""
    await live(limen, 1)
    clock.tick(DAY)
    await live(limen, 1)
    clock.tick(-DAY)
    await live(limen, 1)
    clock.tick(KEPT)
    await limen.features.sweep.round()
    assert [entry.seq for entry in await stored(limen)] == [3, 4, 5]

    clock.tick(DAY)
    await limen.features.sweep.round()
    assert [entry.seq for entry in await stored(limen)] == [5, 6]
    assert (await limen.features.audit.verify()).broken is None


async def test_a_round_is_bounded_and_goes_in_batches(
    limen: Limen, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limen.audit.BATCH", 3)
    monkeypatch.setattr("limen.retention.BATCH", 3)
    monkeypatch.setattr("limen.retention.ROUND", 2)
    await live(limen, 9)
    clock.tick(KEPT)
    begins = []
    for _ in range(3):
        await limen.features.sweep.round()
        begins.append((await stored(limen))[0].seq)
        assert (await limen.features.audit.verify()).broken is None

    assert begins == [7, 11, 11]


def test_a_batch_is_written_in_milliseconds() -> None:
    """Whoever binds entries waits for it."""
    assert BATCH == 500


async def test_one_process_of_all_does_it(limen: Limen, twin: Limen, clock: ManualClock) -> None:
    await live(limen, 3)
    await limen.features.sweep.round()
    clock.tick(KEPT)
    await limen.features.sweep.round()
    await twin.features.sweep.round()

    assert [entry.kind for entry in await stored(limen)] == [PRUNED]
    assert len({row.holder for row in await rows(limen, sweeps) if row.name == "audit"}) == 1


async def test_two_that_do_it_at_once_do_no_harm(
    limen: Limen, twin: Limen, clock: ManualClock
) -> None:
    """Because their clocks differ, or an operator's command comes in between."""
    await live(limen, 6)
    clock.tick(KEPT)
    pruned = [await one.features.audit.prune(clock()) for one in (limen, twin)]

    assert sum(pruned) == 7 + 1  # the second one removes what the first one has said
    assert (await limen.features.audit.verify()).broken is None


async def test_without_the_database_nothing_goes(limen: Limen, clock: ManualClock) -> None:
    await live(limen, 3)
    clock.tick(KEPT)
    with moved_away(limen), pytest.raises(DatabaseUnavailable):
        await limen.features.sweep.round()

    assert (await limen.features.audit.verify()).entries == 4


# Nobody else can have the beginning removed.


async def test_a_beginning_that_is_cut_off_is_attested_by_nothing(
    limen: Limen, clock: ManualClock
) -> None:
    await live(limen, 3)
    clock.tick(KEPT / 2)
    await live(limen, 3)
    clock.tick(KEPT / 2)
    before = await stored(limen)
    await limen.features.sweep.round()
    pruned = await stored(limen)

    async def broken(entries: list[object]) -> Broken | None:
        await put(limen, entries)  # type: ignore[arg-type]
        return (await limen.features.audit.verify()).broken

    assert await broken([*pruned]) is None
    assert await broken([*pruned[1:]]) == Broken(5, "removed")
    assert await broken([*before[3:4], *pruned]) == Broken(4, "added")
    assert await broken([*pruned[:-1]]) == Broken(1, "removed")


async def test_a_time_that_was_put_back_has_nothing_removed(
    limen: Limen, caplog: pytest.LogCaptureFixture
) -> None:
    """Limen would remove the evidence, and attest that it is all right."""
    await live(limen, 8)
    good = await stored(limen)
    for number in (1, 5, 9):
        aged = [entry._replace(at=0) for entry in good[:number]] + good[number:]
        await put(limen, aged)
        await limen.features.retention.round("")
        assert await stored(limen) == aged
    fitting = linked([good[0]._replace(at=0)], BEGINNING) + good[1:]
    await put(limen, fitting)
    await limen.features.retention.round("")

    assert await stored(limen) == fitting
    assert caplog.text.count("it is not pruned") == 4


async def test_a_beginning_that_was_written_anew_stays_an_alarm_when_it_has_gone(
    limen: Limen,
) -> None:
    """Everything is computed anew, to the end and to the head, and aged; limen goes on with it."""
    await live(limen, 8)
    aged = linked([entry._replace(at=0) for entry in await stored(limen)], BEGINNING)
    await put(limen, aged, Link.of(aged[-1]))
    await live(limen, 2)
    await limen.features.retention.round("")

    assert (await stored(limen))[0].seq == 10
    assert (await limen.features.audit.verify()).broken == Broken(10, "unattested")


# The anchor in the log.


async def test_the_head_is_logged_once_an_hour_if_it_has_moved(
    limen: Limen, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    anchors: list[str] = []

    async def told(minutes: int) -> bool:
        clock.tick(60 * minutes)
        caplog.clear()
        with caplog.at_level(logging.INFO, "limen.retention"):
            await limen.features.retention.round("")
        anchors.extend(vars(record)["anchor"] for record in caplog.records)
        return bool(caplog.records)

    await live(limen, 1)
    assert await told(0)
    await live(limen, 1)
    assert not await told(59)
    assert await told(1)
    assert not await told(180)
    await live(limen, 1)
    assert await told(0)
    assert (await limen.features.audit.verify(*map(Link.noted, anchors))).broken is None


def test_the_default_is_a_year_and_a_month() -> None:
    assert Settings(data_dir="d").audit_retention * SECOND == KEPT * SECOND  # type: ignore[arg-type]
