"""What limen keeps of a person beside the account is gone afterwards, and the chain is whole."""

import json
import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import func, select, update

from limen.audit_chain import Entry
from limen.audit_personal import commitment, personal_part
from limen.audit_query import AuditQuery
from limen.database.address import sqlite_path
from limen.database.schema import audit, metadata, outbox
from limen.errors import AccountNotFound
from limen.events import SignIn
from limen.limen import Limen
from limen.origin import Origin, coming_from
from tests.clock import ManualClock
from tests.conftest import on_sqlite
from tests.people import PASSWORD, Person, calling_from, guess
from tests.stored import rows
from tests.trails import ADA, BOB, HOME, happen, stored

pytestmark = pytest.mark.anyio

DAY = 86400
HOME_ADDRESS, AGENT = "198.51.100.7", "Kanarie/1.0"


async def lives(limen: Limen) -> Person:
    """Let somebody do this and that from one place, and return her."""
    account = await limen.features.accounts.create("ada@example.com", PASSWORD)
    async with calling_from(limen, HOME_ADDRESS) as client:
        client.headers["user-agent"] = AGENT
        ada = Person(client, "ada@example.com", account.user_id)
        await guess(client, ada.email)
        await ada.sign_in()
        await ada.log_out()
        await ada.sign_in()
    async with limen.features.log.change() as change:
        await limen.features.mail.post(change, "test", ada.email, user_id=ada.user_id)
    await limen.features.audit.seal()
    return ada


async def everything(limen: Limen) -> str:
    """Return every value of every row."""
    found = [
        repr(tuple(row)) for table in metadata.sorted_tables for row in await rows(limen, table)
    ]
    return "\n".join(found)


async def of(limen: Limen, user_id: str) -> list[Entry]:
    return await limen.features.audit.entries(AuditQuery(user_id=user_id, personal=True))


async def test_nothing_is_left_of_where_a_person_was(limen: Limen) -> None:
    ada = await lives(limen)
    before = [entry._replace(personal=None) for entry in await of(limen, ada.user_id)]
    assert HOME_ADDRESS in await everything(limen)
    with coming_from(Origin("operator")):
        assert await limen.features.erasure.erase(ada.user_id) == len(before)

    found = await everything(limen)
    assert HOME_ADDRESS not in found
    assert "Kanarie" not in found
    assert await rows(limen, outbox) == []
    *entries, erased = await of(limen, ada.user_id)
    assert entries == before
    assert (erased.kind, erased.outcome, erased.actor) == ("account.changed", "erased", "operator")
    report = await limen.features.audit.verify()
    assert (report.broken, report.erased) == (None, len(before))


async def test_the_account_stays_and_what_it_does_next_is_recorded_as_before(limen: Limen) -> None:
    ada = await lives(limen)
    await limen.features.erasure.erase(ada.user_id)
    async with calling_from(limen, HOME_ADDRESS) as client:
        ada.http = client
        assert (await ada.refresh()).status_code == 200
        assert (await ada.sign_in()).status_code == 200
    await limen.features.audit.seal()

    newest = (await of(limen, ada.user_id))[-1]
    assert json.loads(newest.personal or "{}")["address"] == HOME_ADDRESS
    assert (await limen.features.audit.verify()).broken is None


async def test_others_keep_theirs(limen: Limen) -> None:
    """Also of what they did to the account: that is from where they were."""
    admin = Origin("account", "c" * 32, "203.0.113.9")
    await happen(
        limen, SignIn("success", ADA), SignIn("success", BOB), SignIn("invalid_credentials")
    )
    await happen(limen, SignIn("invalid_credentials", ADA), where=admin)
    await limen.features.erasure.erase(ADA)

    entries = [entry for entry in await stored(limen) if entry.kind == "sign_in"]
    assert [entry.personal is None for entry in entries] == [True, False, False, False]

    await happen(limen, SignIn("success", admin.user_id))
    await limen.features.erasure.erase(admin.user_id or "")
    entries = [entry for entry in await stored(limen) if entry.kind == "sign_in"]
    assert [entry.personal is None for entry in entries] == [True, False, False, True, True]
    assert (await limen.features.audit.verify()).broken is None


async def test_of_whom_nothing_is_known_nothing_is_erased(limen: Limen) -> None:
    before = await stored(limen)
    with pytest.raises(AccountNotFound):
        await limen.features.erasure.erase("f" * 32)

    await limen.features.audit.seal()
    assert len(await stored(limen)) <= len(before) + 1


async def test_many_entries_are_erased_a_batch_at_a_time(
    limen: Limen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limen.erasure.BATCH", 4)
    await happen(limen, *[SignIn("success", user) for _ in range(13) for user in (ADA, BOB)])

    assert await limen.features.erasure.erase(ADA) == 13
    assert await limen.features.erasure.erase(ADA) == 1  # the event that said so
    assert (await limen.features.audit.verify()).broken is None


async def test_whoever_is_cut_off_leaves_no_gap_that_nothing_explains(
    limen: Limen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event comes first. Repeating it does the rest."""
    await happen(limen, *[SignIn("success", ADA)] * 5)
    with monkeypatch.context() as patched:
        patched.setattr(limen.features.erasure, "_erase_entries", _cut_off)
        with pytest.raises(ConnectionError):
            await limen.features.erasure.erase(ADA)
    assert (await limen.features.audit.verify()).broken is None

    async with limen.features.database.write() as connection:  # two of five were done
        some = select(audit.c.seq).where(audit.c.user_id == ADA).order_by(audit.c.seq).limit(2)
        await connection.execute(update(audit).where(audit.c.seq.in_(some)).values(personal=None))
    assert (await limen.features.audit.verify()).broken is None
    assert await limen.features.erasure.erase(ADA) == 4
    assert (await limen.features.audit.verify()).broken is None


async def _cut_off(_user_id: str) -> int:
    raise ConnectionError


# A deleted account.


async def erased_entries(limen: Limen, user_id: str) -> int:
    missing = audit.c.personal.is_(None)
    number = select(func.count()).where(audit.c.user_id == user_id, missing)
    async with limen.features.database.read() as connection:
        found: int = (await connection.execute(number)).scalar_one()
        return found


async def test_a_deleted_account_is_erased_after_a_month_by_itself(
    limen: Limen, clock: ManualClock
) -> None:
    """Not before: whoever has stolen an account must not delete his traces with it."""
    ada = await lives(limen)
    await limen.features.accounts.delete(ada.user_id)
    await limen.features.audit.seal()
    entries = len(await of(limen, ada.user_id))
    clock.tick(30 * DAY - 1)
    await limen.features.sweep.round()
    assert await erased_entries(limen, ada.user_id) == 0

    clock.tick(1)
    await limen.features.sweep.round()
    assert await erased_entries(limen, ada.user_id) == entries
    assert HOME_ADDRESS not in await everything(limen)
    assert (await of(limen, ada.user_id))[-1].actor == "limen"
    assert (await limen.features.audit.verify()).broken is None


async def test_it_is_erased_once(limen: Limen, twin: Limen, clock: ManualClock) -> None:
    """Whoever sweeps afterwards, and however often; and not again if an operator was first."""
    ada = await lives(limen)
    await limen.features.accounts.delete(ada.user_id)
    await limen.features.erasure.erase(ada.user_id)
    clock.tick(31 * DAY)
    for one in (limen, twin, limen):
        await one.features.sweep.round()
        clock.tick(300)

    erased = AuditQuery(user_id=ada.user_id, outcome="erased")
    assert len(await limen.features.audit.entries(erased)) == 1


async def test_an_erasure_that_was_cut_off_is_ended(
    limen: Limen, twin: Limen, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await lives(limen)
    await limen.features.accounts.delete(ada.user_id)
    await limen.features.audit.seal()
    clock.tick(30 * DAY)
    monkeypatch.setattr(limen.features.erasure, "_erase_entries", _cut_off)
    with pytest.raises(ConnectionError):
        await limen.features.sweep.round()
    assert await erased_entries(limen, ada.user_id) == 0

    clock.tick(300)
    await twin.features.sweep.round()
    assert HOME_ADDRESS not in await everything(limen)
    assert (await limen.features.audit.verify()).broken is None


async def test_an_account_that_is_there_is_not_erased(limen: Limen, clock: ManualClock) -> None:
    ada = await lives(limen)
    await limen.features.accounts.disable(ada.user_id)
    await limen.features.audit.seal()
    clock.tick(90 * DAY)
    await limen.features.sweep.round()

    assert await erased_entries(limen, ada.user_id) == 0


def test_a_personal_part_is_not_told_by_its_commitment() -> None:
    """The salt goes with it. Two entries from one address have nothing in common."""
    one, other = personal_part(HOME), personal_part(HOME)

    assert commitment(one) != commitment(other)
    assert len(json.loads(one)["salt"]) >= 22


@on_sqlite
async def test_the_file_does_not_keep_what_was_erased(limen: Limen) -> None:
    """Not even in its free space, once the log beside it was written back."""
    ada = await lives(limen)
    path = sqlite_path(limen.settings.database_url)
    assert path is not None
    await limen.features.erasure.erase(ada.user_id)
    await limen.features.accounts.delete(ada.user_id)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0

    kept = b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
    assert ada.user_id.encode() in kept
    for gone in (HOME_ADDRESS, AGENT, ada.email):
        assert gone.encode() not in kept
