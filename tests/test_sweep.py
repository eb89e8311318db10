"""What has expired goes, what may still matter stays, and nobody waits for it."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import Table, event, insert, update

from limen.clock import SECOND, system_clock
from limen.database.schema import (
    accounts,
    rate_limits,
    revocations,
    sessions,
    signing_keys,
    sweeps,
)
from limen.database.sqlite import BUSY_SECONDS
from limen.errors import DatabaseUnavailable
from limen.events import Event, Swept
from limen.limen import Limen
from limen.opening import HOUSEKEEPING_SECONDS
from limen.revocation import MARGIN
from limen.settings import Settings
from limen.sweep import BATCH, LEASE, ROUND, Waiting
from tests.clock import ManualClock
from tests.conftest import on_postgresql
from tests.people import PASSWORD, Person, attempt, calling_from, guess
from tests.running import running
from tests.stored import moved_away, rows

pytestmark = pytest.mark.anyio

DAY = 86400
MICROSECOND = 1 / SECOND


async def put(limen: Limen, table: Table, new: Sequence[dict[str, object]]) -> None:
    async with limen.features.database.write() as connection:
        await connection.execute(insert(table), new)


def bucket_row(name: str, expires_at: int) -> dict[str, object]:
    return {"bucket": name, "stamps": "", "quota": 5, "period": 1, "expires_at": expires_at}


async def keys_of(limen: Limen, table: Table) -> set[Any]:
    return {row[0] for row in await rows(limen, table)}


@pytest.mark.parametrize(
    ("later", "is_kept"), [(7 * DAY - MICROSECOND, True), (7 * DAY, False)], ids=["before", "at"]
)
async def test_a_session_goes_when_its_refresh_token_has_expired(
    limen: Limen, ada: Person, clock: ManualClock, later: float, *, is_kept: bool
) -> None:
    clock.tick(DAY)
    await ada.refresh()
    clock.tick(later)
    await limen.features.sweep.once()

    assert len(await rows(limen, sessions)) == is_kept
    assert len(await rows(limen, accounts)) == 1


async def test_a_session_goes_at_its_absolute_end(
    limen: Limen, ada: Person, clock: ManualClock
) -> None:
    for _ in range(15):
        clock.tick(6 * DAY - 1)
        await limen.features.sweep.once()
        assert (await ada.refresh()).status_code == 200
    clock.tick(15)
    await limen.features.sweep.once()

    assert await rows(limen, sessions) == []


@pytest.mark.parametrize(
    ("later", "is_kept"), [(DAY - MICROSECOND, True), (DAY, False)], ids=["before", "at"]
)
async def test_an_ended_session_is_kept_for_a_day(
    limen: Limen, ada: Person, clock: ManualClock, later: float, *, is_kept: bool
) -> None:
    await ada.log_out()
    clock.tick(later)
    await limen.features.sweep.once()

    assert len(await rows(limen, sessions)) == is_kept


async def test_a_revocation_is_kept_as_long_as_a_token_needs_it(
    limen: Limen, ada: Person, clock: ManualClock
) -> None:
    clock.now -= clock.now % SECOND
    await ada.sign_in()
    await ada.log_out()
    clock.tick(1800)
    await limen.features.sweep.once()
    assert "session" in {row.kind for row in await rows(limen, revocations)}

    clock.tick(MARGIN)
    await limen.features.sweep.once()
    assert await rows(limen, revocations) == []


async def test_a_number_that_was_swept_is_not_given_again(
    limen: Limen, ada: Person, clock: ManualClock
) -> None:
    """Or else whoever has read up to it would miss what comes next."""
    await ada.log_out()
    last = max(await keys_of(limen, revocations))
    clock.tick(DAY)
    await limen.features.sweep.once()
    await ada.sign_in()
    await ada.log_out()

    assert min(await keys_of(limen, revocations)) > last


@pytest.mark.parametrize(
    ("later", "is_kept"), [(900 - MICROSECOND, True), (900, False)], ids=["before", "at"]
)
async def test_attempts_go_when_they_have_left_their_window(
    limen: Limen, clock: ManualClock, later: float, *, is_kept: bool
) -> None:
    async with calling_from(limen, "198.51.100.7") as stranger:
        await guess(stranger, "ada@example.com")
    clock.tick(later)
    await limen.features.sweep.once()

    assert len(await rows(limen, rate_limits)) == 2 * is_kept


async def test_a_signing_key_goes_when_it_has_retired(
    limen: Limen, ada: Person, clock: ManualClock
) -> None:
    """And not while a token that it signed may live."""
    (first,) = limen.features.memory.ring.all
    second = await limen.features.keys.rotate()
    clock.tick(600)  # the new one signs from now on
    await limen.features.following.catch_up()
    await ada.sign_in()
    clock.tick(DAY + 59)
    await limen.features.sweep.once()
    assert await keys_of(limen, signing_keys) == {first.kid, second.kid}

    clock.tick(1)
    await limen.features.sweep.once()
    assert await keys_of(limen, signing_keys) == {second.kid}
    assert (await ada.sign_in()).status_code == 200


async def test_a_sweep_tells_what_it_has_removed(
    limen: Limen, clock: ManualClock, happened: list[Event]
) -> None:
    await put(limen, rate_limits, [bucket_row(f"b{n}", clock()) for n in range(3)])
    await put(limen, rate_limits, [bucket_row("live", clock() + 1)])
    happened.clear()

    assert await limen.features.sweep.once() == 3
    assert happened == [Swept("rate_limits", 3)]
    assert await limen.features.sweep.once() == 0
    assert happened == [Swept("rate_limits", 3)]


async def test_a_sweep_goes_in_batches_and_passes_over_what_lives(
    limen: Limen, clock: ManualClock
) -> None:
    """Also where a whole batch of live rows lies between expired ones."""
    number = 3 * BATCH + 7
    live = {f"b{n:05d}" for n in range(number) if n % 3 == 0 or BATCH <= n < 2 * BATCH}
    await put(
        limen,
        rate_limits,
        [bucket_row(f"b{n:05d}", clock() + (f"b{n:05d}" in live)) for n in range(number)],
    )
    removed: list[int] = []
    engine = limen.features.database._writers.engine.sync_engine

    def count(_connection: object, cursor: Any, statement: str, *_: object) -> None:
        if statement.startswith("DELETE"):
            removed.append(cursor.rowcount)

    event.listen(engine, "after_cursor_execute", count)

    assert await limen.features.sweep.once() == number - len(live)
    assert await keys_of(limen, rate_limits) == live
    assert 1 < len([rowcount for rowcount in removed if rowcount > 0]) <= 4
    assert max(removed) <= BATCH


async def test_a_sweep_holds_no_writer_for_long(limen: Limen, clock: ManualClock) -> None:
    """People sign in meanwhile, and none of them waits for more than one batch."""
    await limen.features.accounts.create("ada@example.com", PASSWORD)
    await put(limen, rate_limits, [bucket_row(f"b{n:05d}", clock()) for n in range(10 * BATCH)])
    sweeping = asyncio.create_task(limen.features.sweep.once())
    waits = []
    async with calling_from(limen, "198.51.100.7") as client:
        while not sweeping.done():
            began = time.perf_counter()
            assert (await attempt(client, "ada@example.com")).status_code == 200
            waits.append(time.perf_counter() - began)
    print(f"{len(waits)} sign-ins during the sweep, the slowest took {max(waits) * 1000:.0f} ms")

    assert await sweeping == 10 * BATCH
    assert len(waits) >= 10
    assert max(waits) < BUSY_SECONDS  # past it, writers are refused


async def test_what_was_renewed_in_the_meantime_is_kept(limen: Limen, clock: ManualClock) -> None:
    """The sweep has read the row as expired, and waits for the writer that renews it."""
    await put(limen, rate_limits, [bucket_row("renewed", clock()), bucket_row("expired", clock())])
    async with limen.features.database.write() as connection:
        await connection.execute(
            update(rate_limits)
            .where(rate_limits.c.bucket == "renewed")
            .values(expires_at=clock() + SECOND)
        )
        sweeping = asyncio.create_task(limen.features.sweep.once())
        await asyncio.sleep(0.1)

    assert await sweeping == 1
    assert await keys_of(limen, rate_limits) == {"renewed"}


async def test_two_processes_may_sweep_at_once(
    limen: Limen, twin: Limen, clock: ManualClock
) -> None:
    await put(limen, rate_limits, [bucket_row(f"b{n}", clock()) for n in range(2 * BATCH)])

    assert (
        sum(await asyncio.gather(limen.features.sweep.once(), twin.features.sweep.once()))
        == 2 * BATCH
    )


async def test_without_the_database_a_sweep_fails_and_the_next_one_does_its_work(
    limen: Limen, clock: ManualClock
) -> None:
    await put(limen, rate_limits, [bucket_row("expired", clock())])
    with moved_away(limen), pytest.raises(DatabaseUnavailable):
        await limen.features.sweep.once()

    assert await limen.features.sweep.once() == 1


# One worker of many sweeps, piece by piece.

LEASE_SECONDS = LEASE / SECOND


async def put_expired(limen: Limen, clock: ManualClock, *names: str) -> None:
    await put(limen, rate_limits, [bucket_row(name, clock()) for name in names])


async def test_of_many_that_keep_house_at_once_one_sweeps(
    settings: Settings, clock: ManualClock
) -> None:
    async with AsyncExitStack() as stack:
        happened: list[list[Event]] = [[] for _ in range(6)]
        limens = [
            await stack.enter_async_context(running(settings, clock, events.append))
            for events in happened
        ]
        await put_expired(limens[0], clock, *(f"b{n:05d}" for n in range(2 * BATCH)))
        for events in happened:
            events.clear()
        await asyncio.gather(*(limen.features.keep_house() for limen in limens))

        assert [events for events in happened if events] == [[Swept("rate_limits", 2 * BATCH)]]
        assert len({row.holder for row in await rows(limens[0], sweeps)}) == 1


async def test_whoever_sweeps_goes_on_with_it(
    limen: Limen, twin: Limen, clock: ManualClock
) -> None:
    for number in range(10):
        await put_expired(limen, clock, f"b{number}")
        assert await limen.features.sweep.round() == 1

        clock.tick(2 * HOUSEKEEPING_SECONDS)  # a round may take as long as the pause before it
        await put_expired(limen, clock, f"c{number}")
        assert await twin.features.sweep.round() == 0
        assert await limen.features.sweep.round() == 1


async def test_a_round_is_bounded_and_the_next_goes_on_where_it_stopped(
    limen: Limen, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limen.sweep.BATCH", 3)
    monkeypatch.setattr("limen.sweep.ROUND", 2)
    await put(limen, rate_limits, [bucket_row(f"a{n}", clock() + SECOND) for n in range(7)])
    await put_expired(limen, clock, "b0", "b1")
    walked = []
    for _ in range(4):
        await limen.features.sweep.round()
        (row,) = [row for row in await rows(limen, sweeps) if row.name == "rate_limits"]
        walked.append((row.walked_to, len(await rows(limen, rate_limits))))

    assert walked == [("a5", 9), ("", 7), ("a5", 7), ("", 7)]


async def test_a_log_is_walked_in_the_order_of_its_numbers(
    limen: Limen, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As text, 10 would stand before 9, and be passed over for ever."""
    monkeypatch.setattr("limen.sweep.BATCH", 4)
    monkeypatch.setattr("limen.sweep.ROUND", 2)
    past = clock() // SECOND
    kept = {"kind": "session", "subject": "", "value": 0, "expires_at": past + 1}
    await put(limen, revocations, [{**kept, "seq": seq} for seq in range(7, 47)])
    await put(limen, revocations, [{**kept, "seq": 1000, "expires_at": past}])
    rounds = 0
    while not await limen.features.sweep.round():
        rounds += 1
        assert rounds < 20

    assert rounds == 40 // 8
    assert 1000 not in await keys_of(limen, revocations)


def test_a_round_looks_at_fifty_thousand_rows_of_a_table() -> None:
    """More would be felt where it runs; fewer, and a big table would be walked for days."""
    assert ROUND * BATCH == 50_000


async def test_a_sweeper_that_dies_is_succeeded_and_its_walk_goes_on(
    limen: Limen, twin: Limen, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is cut off in its second round: what it did before stays done."""
    monkeypatch.setattr("limen.sweep.BATCH", 2)
    monkeypatch.setattr("limen.sweep.ROUND", 2)
    await put(limen, rate_limits, [bucket_row(f"a{n}", clock() + 10**12) for n in range(4)])
    await put_expired(limen, clock, *(f"b{n}" for n in range(6)))
    assert await limen.features.sweep.round() == 0
    dying = asyncio.create_task(limen.features.sweep.round())
    while len(await rows(limen, rate_limits)) == 10:  # noqa: ASYNC110  seen from outside
        await asyncio.sleep(0.001)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)

    clock.tick(LEASE_SECONDS - 1)
    assert await twin.features.sweep.round() == 0
    clock.tick(1)
    assert await twin.features.sweep.round() == 4  # from a3 on, where the last whole round ended
    assert await limen.features.sweep.round() == 0  # it is another's now
    assert await keys_of(limen, rate_limits) == {f"a{n}" for n in range(4)}


async def test_a_clock_that_once_ran_far_ahead_holds_nobody_off(
    limen: Limen, twin: Limen, clock: ManualClock
) -> None:
    clock.tick(365 * DAY)
    await limen.features.sweep.round()
    clock.tick(-365 * DAY)
    await put_expired(limen, clock, "expired")

    assert await twin.features.sweep.round() == 1


async def test_a_clock_that_was_set_back_stops_no_sweep(limen: Limen, clock: ManualClock) -> None:
    await limen.features.sweep.round()
    clock.tick(-60)
    await put_expired(limen, clock, "expired")

    assert await limen.features.sweep.round() == 1


@on_postgresql
async def test_by_a_clock_that_is_far_ahead_nothing_is_swept(
    limen: Limen,
    twin: Limen,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By its own clock everybody's session has expired; by the database's it has not."""
    await put_expired(limen, clock, "expired")
    monkeypatch.setattr("limen.sweep.system_clock", lambda: system_clock() + 2 * LEASE)
    assert await limen.features.sweep.round() == 0
    assert "ahead of the database's" in caplog.text

    monkeypatch.setattr("limen.sweep.system_clock", lambda: system_clock() + LEASE // 2)
    assert await twin.features.sweep.round() == 1  # whoever swept nothing holds nothing


async def test_whoever_was_displaced_does_not_move_his_successors_mark(
    limen: Limen, twin: Limen, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round that took too long ends after another has taken over, and come further."""
    monkeypatch.setattr("limen.sweep.BATCH", 2)
    monkeypatch.setattr("limen.sweep.ROUND", 1)
    await put(limen, rate_limits, [bucket_row(f"a{n}", clock() + 10**12) for n in range(9)])
    slow, other = limen.features.sweep, twin.features.sweep
    (start,) = {(await slow._held())["rate_limits"]}
    walked = await slow._walk(rate_limits, start, 1)
    clock.tick(LEASE_SECONDS)
    for _ in range(3):
        await other.round()
    await slow._mark("rate_limits", walked.to)

    (row,) = [row for row in await rows(limen, sweeps) if row.name == "rate_limits"]
    assert (walked.to, row.walked_to) == ("a1", "a5")


async def test_a_round_that_ends_keeps_what_it_holds(
    limen: Limen, twin: Limen, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it took: its holder has just been heard of."""
    monkeypatch.setattr("limen.sweep.BATCH", 2)
    monkeypatch.setattr("limen.sweep.ROUND", 1)
    monkeypatch.setattr("limen.sweep.PAUSE", 0.5)
    await put(limen, rate_limits, [bucket_row(f"a{n}", clock() + 10**12) for n in range(9)])
    slow = asyncio.create_task(limen.features.sweep.round())
    while not await rows(limen, sweeps):  # noqa: ASYNC110  seen from outside
        await asyncio.sleep(0.001)
    clock.tick(LEASE_SECONDS - 1)
    await slow
    clock.tick(LEASE_SECONDS - 1)
    await put_expired(limen, clock, "a1x")
    assert await twin.features.sweep.round() == 0


@on_postgresql
async def test_a_sweep_waits_for_no_row_that_is_in_use(limen: Limen, clock: ManualClock) -> None:
    """Who waits for nobody is in nobody's deadlock. The next walk takes the row."""
    await put_expired(limen, clock, "in use", "not in use")
    async with limen.features.database.write() as connection:
        in_use = update(rate_limits).where(rate_limits.c.bucket == "in use")
        await connection.execute(in_use.values(stamps=""))
        async with asyncio.timeout(3):
            assert await limen.features.sweep.once() == 1

    assert await limen.features.sweep.once() == 1


async def test_what_waits_is_counted_and_dated(
    limen: Limen, ada: Person, clock: ManualClock
) -> None:
    """The first of a session's ends is the one that counts."""
    await ada.log_out()
    ended = clock()
    clock.tick(DAY)
    assert await limen.features.sweep.waiting() == {
        "sessions": Waiting(1, ended + DAY * SECOND),
        "revocations": Waiting(2, (ended // SECOND + 1800 + MARGIN) * SECOND),
        "rate_limits": Waiting(2, ended + 900 * SECOND),
        "signing_keys": Waiting(0, None),
        "codes": Waiting(0, None),
        "outbox": Waiting(0, None),
    }
    clock.tick(6 * DAY)
    assert (await limen.features.sweep.waiting())["sessions"] == Waiting(1, ended + DAY * SECOND)
    await limen.features.sweep.once()
    assert set((await limen.features.sweep.waiting()).values()) == {Waiting(0, None)}
