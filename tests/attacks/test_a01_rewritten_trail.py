"""A log that its own database's owner can rewrite, as all audit tables without a chain are.

Whoever has broken in deletes the lines about himself. Here he may write to the database, and does
his best; the trail is verified, with and without the anchor that the log had an hour ago.
"""

import logging

import pytest
from sqlalchemy import delete, update

from limen.audit_chain import BEGINNING, Entry, Link
from limen.database.schema import audit, audit_head, audit_pending
from limen.limen import Limen
from limen.origin import Origin, coming_from
from tests.people import PASSWORD, Person, attempt, calling_from
from tests.stored import rows
from tests.trails import linked, put, stored

pytestmark = pytest.mark.anyio

BURGLAR = "203.0.113.66"


@pytest.fixture
async def burgled(limen: Limen, ada: Person, caplog: pytest.LogCaptureFixture) -> Limen:
    """Somebody has signed in as Ada, and the head of the trail was logged since."""
    async with calling_from(limen, BURGLAR) as burglar:
        assert (await attempt(burglar, ada.email)).status_code == 200
    await ada.log_out()
    await limen.features.audit.seal()
    with caplog.at_level(logging.INFO, "limen.retention"):
        await limen.features.retention.round("")
    return limen


def noted(caplog: pytest.LogCaptureFixture) -> Link:
    """Return the anchor that stands in the log."""
    told = map(vars, caplog.get_records("setup"))
    (anchor,) = [record["anchor"] for record in told if "anchor" in record]
    return Link.noted(anchor)


async def is_noticed(limen: Limen, *anchors: Link) -> bool:
    return (await limen.features.audit.verify(*anchors)).broken is not None


def his(entries: list[Entry]) -> Entry:
    (one,) = [entry for entry in entries if BURGLAR in str(entry.personal)]
    return one


async def test_he_deletes_his_entry(burgled: Limen) -> None:
    async with burgled.features.database.write() as connection:
        await connection.execute(delete(audit).where(audit.c.seq == his(await stored(burgled)).seq))

    assert await is_noticed(burgled)


async def test_he_gives_it_to_somebody_else(burgled: Limen) -> None:
    """Another address of the same form, with the salt as it was."""
    mine = his(await stored(burgled))
    async with burgled.features.database.write() as connection:
        await connection.execute(
            update(audit)
            .where(audit.c.seq == mine.seq)
            .values(personal=str(mine.personal).replace(BURGLAR, "127.0.0.1"))
        )

    assert await is_noticed(burgled)


async def test_he_makes_it_look_erased(burgled: Limen) -> None:
    async with burgled.features.database.write() as connection:
        await connection.execute(
            update(audit).where(audit.c.seq == his(await stored(burgled)).seq).values(personal=None)
        )

    assert await is_noticed(burgled)


async def test_he_writes_the_history_anew_and_moves_the_head(burgled: Limen) -> None:
    entries = await stored(burgled)
    anew = linked([entry for entry in entries if entry != his(entries)], BEGINNING)
    await put(burgled, anew, Link.of(anew[-1]))

    assert await is_noticed(burgled)


async def test_he_goes_back_to_the_moment_before_he_came(
    burgled: Limen, caplog: pytest.LogCaptureFixture
) -> None:
    """All of it is authentic. Only the log, which he could not reach, knows of more."""
    entries = await stored(burgled)
    before = entries[: his(entries).seq - 1]
    await put(burgled, before, Link.of(before[-1]))

    assert not await is_noticed(burgled)
    assert await is_noticed(burgled, noted(caplog))


async def test_he_lets_limen_write_an_alibi(burgled: Limen, ada: Person) -> None:
    """What waits to be bound is taken for the truth, where nobody looks who has put it there."""
    async with burgled.features.database.write() as connection:
        with coming_from(Origin("operator")):
            said = burgled.features.audit._own("account.changed", "disabled")
        alibi = {**said, "user_id": ada.user_id, "id": "0" * 32, "mac": "A" * 43}
        await connection.execute(audit_pending.insert().values(alibi))
    await burgled.features.audit.seal()

    newest = (await stored(burgled))[-1]
    assert (newest.kind, newest.outcome) == ("trail.forged", "failure")


async def test_he_lets_limen_prune_it(burgled: Limen) -> None:
    """By making it old."""
    async with burgled.features.database.write() as connection:
        await connection.execute(update(audit).values(at=0))
    await burgled.features.retention.round("")

    assert his(await stored(burgled))
    assert await is_noticed(burgled)


async def test_he_keeps_limen_from_recording_what_comes(burgled: Limen, ada: Person) -> None:
    """By a head that points to nowhere. What follows is recorded all the same."""
    async with burgled.features.database.write() as connection:
        await connection.execute(update(audit_head).values(seq=0, digest="", mac=""))
    assert (await ada.sign_in()).status_code == 200
    await burgled.features.audit.seal()

    assert (await stored(burgled))[-1].kind == "sign_in"
    assert await rows(burgled, audit_pending) == []
    assert PASSWORD not in str(await stored(burgled))
