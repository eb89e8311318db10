"""What has expired goes, what may still matter stays, and nobody waits for it."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Table, event, insert, update

from limen.clock import SECOND
from limen.database.schema import accounts, rate_limits, revocations, sessions, signing_keys
from limen.database.sqlite import BUSY_SECONDS
from limen.errors import DatabaseUnavailable
from limen.events import Event, Swept
from limen.limen import Limen
from limen.sweep import BATCH
from tests.clock import ManualClock
from tests.people import PASSWORD, Person, attempt, calling_from, guess
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

    clock.tick(60)
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
    await limen.features.follow()
    await ada.sign_in()
    clock.tick(1859)
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
    engine = limen.features.database._writer.sync_engine

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
