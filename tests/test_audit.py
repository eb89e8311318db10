"""What happens is in the trail: once, in order, with who, what, when, from where and with what end.

And what did not happen is not.
"""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text, update

from limen import audit_chain
from limen.audit import KINDS
from limen.audit_chain import FORGED, Entry, Link
from limen.audit_query import AuditQuery
from limen.clock import SECOND
from limen.database.schema import audit, audit_pending
from limen.database.sqlite import SQLite
from limen.errors import DatabaseUnavailable
from limen.events import AccountChanged, Event, PasswordUpgraded, SignIn
from limen.limen import Limen
from limen.origin import LIMEN, Origin, coming_from
from tests.clock import ManualClock
from tests.people import AUTH, PASSWORD, Person, attempt, calling_from, guess, somebody
from tests.stored import moved_away, rows
from tests.trails import ADA, BOB, HOME, happen, live, put, stored

pytestmark = pytest.mark.anyio

DOCS = Path(__file__).parent.parent / "docs"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


async def bound(limen: Limen, **which: Any) -> list[Entry]:
    """Return the entries, after everything that waits was bound."""
    await limen.features.audit.seal()
    return await limen.features.audit.entries(AuditQuery(personal=True, limit=10_000, **which))


def told(entry: Entry) -> tuple[str, ...]:
    """Return what happened, with what end, by whom, and from where."""
    where = json.loads(entry.personal or "{}")
    return entry.kind, entry.outcome, entry.actor, where.get("address", "-")


async def test_each_event_of_a_life_is_in_the_trail_once(limen: Limen, clock: ManualClock) -> None:
    """Who, what, when, from where, with what outcome; and nobody waits for it to be bound."""
    features = limen.features
    async with calling_from(limen, "198.51.100.7") as client:
        client.headers["user-agent"] = BROWSER
        await client.post(
            f"{AUTH}/register", json={"email": "ada@example.com", "password": PASSWORD}
        )
        account = await features.accounts.find("ada@example.com")
        assert account is not None
        ada = Person(client, "ada@example.com", account.user_id)
        clock.tick(1)
        await guess(client, ada.email)
        await guess(client, "nobody@example.com")
        clock.tick(1)
        await ada.sign_in()
        stolen = ada.tokens["refresh_token"]
        await ada.refresh()
        await ada.refresh()
        clock.tick(1)
        async with calling_from(limen, "203.0.113.9") as thief:
            await Person(thief, ada.email, ada.user_id).refresh(stolen)
        await ada.sign_in()
        await ada.log_out()
        await ada.sign_in()
    clock.tick(1)
    with coming_from(Origin("operator")):
        await features.accounts.disable(ada.user_id)
        await features.accounts.enable(ada.user_id)
        await features.accounts.set_password(ada.user_id, "another good password")
        await features.accounts.delete(ada.user_id)

    home, who = "198.51.100.7", "anonymous"
    entries = await bound(limen)
    assert [told(entry) for entry in entries] == [
        ("key.created", "success", "limen", "-"),
        ("account.registered", "success", who, home),
        ("code.issued", "verify", who, home),
        ("sign_in", "invalid_credentials", who, home),
        ("sign_in", "invalid_credentials", who, home),
        ("sign_in", "success", who, home),
        ("session.ended", "replay", who, "203.0.113.9"),
        ("sign_in", "success", who, home),
        ("session.ended", "logout", who, home),
        ("sign_in", "success", who, home),
        ("account.changed", "disabled", "operator", "-"),
        ("session.ended", "disabled", "operator", "-"),
        ("account.changed", "enabled", "operator", "-"),
        ("account.changed", "password_changed", "operator", "-"),
        ("account.changed", "deleted", "operator", "-"),
    ]
    now = clock()
    seconds = [(now - entry.at) // SECOND for entry in entries]
    assert seconds == [4] * 3 + [3] * 2 + [2] + [1] * 4 + [0] * 5
    assert {entry.user_id for entry in entries[1:]} - {ada.user_id} == {None}
    assert entries[4].user_id is None  # nothing but the origin of whoever tried another address
    assert {entry.sid for entry in entries if entry.sid is not None} == {
        entry.sid for entry in entries if entry.kind == "session.ended"
    }
    assert json.loads(entries[6].detail) == {"generation": 2, "presented": 0}
    assert json.loads(entries[1].personal or "")["device"] == "Firefox on Linux"


async def test_what_happens_to_the_installation_is_in_the_trail(limen: Limen) -> None:
    features = limen.features
    await features.keys.rotate()
    await features.keys.rotate(emergency=True)
    made = await features.credentials.create("orders")
    assert await features.credentials.delete(made.client.client_id)
    assert not await features.credentials.delete(made.client.client_id)

    assert [(entry.kind, entry.outcome) for entry in await bound(limen)] == [
        ("key.created", "success"),
        ("key.created", "success"),
        ("keys.retired", "planned"),
        ("key.created", "success"),
        ("keys.retired", "emergency"),
        ("client.created", "success"),
        ("client.deleted", "success"),
    ]


async def test_what_an_account_may_do_is_told_when_it_changes(limen: Limen) -> None:
    account = await limen.features.accounts.create("ada@example.com", PASSWORD, scope="admin")
    await limen.features.accounts.change(
        account.user_id, "access_changed", scope="", roles="auditor"
    )

    made, changed = (await bound(limen))[1:]
    assert json.loads(made.detail) == {"scope": "admin"}
    assert json.loads(changed.detail) == {"scope": "", "roles": "auditor"}


async def test_whose_token_it_was_is_who_acted(limen: Limen, ada: Person) -> None:
    """A route that asks for a token knows who calls."""
    with coming_from(Origin("account", ada.user_id, "203.0.113.7")):
        await limen.features.accounts.end_sessions(ada.user_id)

    ended = (await bound(limen, kind="session.ended"))[0]
    assert (ended.actor, ended.outcome) == (f"account:{ada.user_id}", "ended_by_operator")


async def test_what_a_limit_refuses_writes_nothing(limen: Limen, ada: Person) -> None:
    async with calling_from(limen, "198.51.100.7") as stranger:
        answers = [(await guess(stranger, ada.email)).status_code for _ in range(8)]

    assert answers.count(429) == 3
    assert len(await bound(limen, kind="sign_in", outcome="invalid_credentials")) == 5


async def test_what_is_rolled_back_has_not_happened(limen: Limen) -> None:
    before = await bound(limen)

    async def change_and_fail() -> None:
        async with limen.features.log.change() as change:
            change.happened(SignIn("success", ADA, "1" * 32))
            raise RuntimeError

    async def record_and_fail() -> None:
        async with limen.features.database.write() as connection:
            await limen.features.audit.record(connection, [SignIn("success", ADA, "1" * 32)])
            raise RuntimeError

    for failing in (change_and_fail, record_and_fail):
        with pytest.raises(RuntimeError):
            await failing()
    assert await bound(limen) == before


async def test_what_happened_in_one_change_stays_in_order(limen: Limen) -> None:
    """At one and the same moment."""
    events: list[Event] = [
        event for _ in range(20) for event in (SignIn("success", ADA), PasswordUpgraded(ADA, "x"))
    ]
    await happen(limen, *events)

    assert [entry.kind for entry in (await bound(limen))[1:]] == [
        "sign_in",
        "password.upgraded",
    ] * 20


async def test_a_hundred_changes_at_once_make_a_chain_without_gaps(
    limen: Limen, twin: Limen
) -> None:
    """By two processes, both of which bind them, too."""
    await bound(limen)

    async def change(n: int) -> None:
        async with (limen, twin)[n % 2].features.log.change() as change:
            change.happened(AccountChanged(f"{n:032x}", "enabled"))

    async def bind(one: Limen) -> None:
        while not changing.done():
            await one.features.audit.seal()

    changing = asyncio.gather(*map(change, range(100)))
    await asyncio.gather(changing, bind(limen), bind(twin))
    await bound(limen)

    entries = await stored(limen)
    assert [entry.seq for entry in entries] == list(range(1, 102))
    assert {entry.user_id for entry in entries[1:]} == {f"{n:032x}" for n in range(100)}
    assert await limen.features.audit.head() == Link.of(entries[-1])
    assert (await limen.features.audit.verify()).broken is None


async def test_more_than_a_batch_is_bound_at_once(
    limen: Limen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limen.audit.BATCH", 7)
    await bound(limen)
    async with limen.features.log.change() as change:
        change.happened(*(AccountChanged(f"{n:032x}", "enabled") for n in range(30)))

    assert await limen.features.audit.seal() in (30, 0)  # nobody, or the background, was first
    assert len(await stored(limen)) == 31
    assert await rows(limen, audit_pending) == []


async def test_the_background_binds_within_about_a_second(limen: Limen, ada: Person) -> None:
    await ada.log_out()
    async with asyncio.timeout(10):
        while await rows(limen, audit_pending):  # noqa: ASYNC110  seen from outside
            await asyncio.sleep(0.05)

    assert (await stored(limen))[-1].kind == "session.ended"


async def test_what_cannot_be_bound_just_now_is_bound_later(limen: Limen, ada: Person) -> None:
    await ada.log_out()
    with moved_away(limen), pytest.raises(DatabaseUnavailable):
        await limen.features.audit.seal()

    assert (await bound(limen))[-1].kind == "session.ended"


# What waits to be bound lies in the database, where others may write.


@pytest.mark.parametrize("column", ["id", "at", "actor", "user_id", "detail", "personal", "mac"])
async def test_what_somebody_else_has_put_there_or_changed_is_not_bound(
    limen: Limen, column: str, caplog: pytest.LogCaptureFixture
) -> None:
    await bound(limen)
    async with limen.features.database.write() as connection:
        await limen.features.audit.record(connection, [SignIn("success", ADA)] * 2)
        (one, _) = (await connection.execute(audit_pending.select())).all()
        values = {column: 4711 if column == "at" else '{"x":1}'}
        await connection.execute(
            update(audit_pending).where(audit_pending.c.id == one.id).values(values)
        )

    kinds = [entry.kind for entry in (await bound(limen))[1:]]
    assert kinds == ["sign_in", FORGED]
    assert "did not write" in caplog.text
    assert (await limen.features.audit.verify()).broken is None


# Asking.


async def seqs(limen: Limen, **which: Any) -> list[int]:
    return [entry.seq for entry in await limen.features.audit.entries(AuditQuery(**which))]


async def test_entries_are_found_by_what_they_say(limen: Limen) -> None:
    await live(limen, 8)
    await happen(limen, AccountChanged(ADA, "disabled"), where=Origin("account", "c" * 32))

    assert await seqs(limen, user_id=ADA) == [2, 4, 6, 8, 10]
    assert await seqs(limen, kind="sign_in") == [2, 3, 4, 6, 7, 8]
    assert await seqs(limen, outcome="logout") == [5, 9]
    assert await seqs(limen, user_id=BOB, kind="session.ended") == [5, 9]
    assert await seqs(limen, sid=f"{5:032x}") == [7]
    assert await seqs(limen, actor=f"account:{'c' * 32}") == [10]
    assert await seqs(limen, actor="limen") == [1]
    assert await seqs(limen, user_id="d" * 32) == []


async def test_pages_follow_each_other_in_either_direction(limen: Limen) -> None:
    await live(limen, 9)
    for newest_first in (False, True):
        found: list[int] = []
        while page := await seqs(
            limen, newest_first=newest_first, limit=4, after_seq=found[-1] if found else None
        ):
            found += page
        assert found == sorted(range(1, 11), reverse=newest_first)


async def test_a_range_of_times_holds_its_beginning_and_not_its_end(
    limen: Limen, clock: ManualClock
) -> None:
    """Also where entries were bound out of order, as when clocks differ by minutes."""
    await bound(limen)
    start = clock()
    for minutes in (10, 20, 30, 25, 40, 120):
        clock.now = start + minutes * 60 * SECOND
        await happen(limen, SignIn("success", ADA))

    def at(minutes: int) -> int:
        return start + minutes * 60 * SECOND

    assert await seqs(limen, since=at(20), until=at(30)) == [3, 5]
    assert await seqs(limen, since=at(25)) == [4, 5, 6, 7]
    assert await seqs(limen, since=at(25), newest_first=True, limit=2) == [7, 6]
    assert await seqs(limen, until=at(20), user_id=ADA) == [2]
    assert await seqs(limen, since=at(121)) == await seqs(limen, until=start) == []


async def test_personal_parts_are_told_only_to_whoever_asks(limen: Limen) -> None:
    await happen(limen, SignIn("success", ADA))

    def personal(entries: list[Entry]) -> list[object]:
        return [entry.personal for entry in entries]

    assert personal(await limen.features.audit.entries(AuditQuery(user_id=ADA))) == [None]
    (entry,) = await bound(limen, user_id=ADA)
    assert "personal" not in entry.document()
    assert entry.document(personal=True)["personal"]["address"] == HOME.address
    assert entry.document()["time"].endswith("+00:00")


LONG_TRAIL = """
    INSERT INTO audit
        (seq, at, kind, outcome, user_id, sid, actor, detail, commitment, digest, mac)
    SELECT n, n * 1000000000000, 'kind' || n % 100, 'success', md5(n::text), md5('s' || n),
        'account:' || md5(n::text), '{}', '', '', ''
    FROM generate_series(1, 2000) AS n
"""


@pytest.mark.parametrize(
    ("which", "index"),
    [
        ({"user_id": ADA}, "ix_audit_user_id_seq"),
        ({"sid": "5" * 32}, "ix_audit_sid"),
        ({"actor": f"account:{ADA}"}, "ix_audit_actor_seq"),
        ({"kind": "key.created"}, "ix_audit_kind_seq"),
        ({"since": 1, "until": 2}, "ix_audit_at"),
    ],
)
async def test_a_question_reads_an_index_and_not_the_whole_trail(
    limen: Limen, which: dict[str, Any], index: str
) -> None:
    database = limen.features.database
    statement = (
        AuditQuery(**which)
        .statement()
        .compile(database._readers.engine.sync_engine, compile_kwargs={"literal_binds": True})
    )
    explain = "EXPLAIN QUERY PLAN" if isinstance(database, SQLite) else "EXPLAIN"
    async with database.write() as connection:
        if (
            explain == "EXPLAIN"
        ):  # it plans by what it knows of the rows: a short table is read whole
            await connection.execute(text("SET LOCAL statement_timeout = '60s'"))
            await connection.execute(text("SET LOCAL enable_seqscan = off"))
            await connection.execute(text(LONG_TRAIL))
            await connection.execute(text("ANALYZE audit"))
        plan = (await connection.exec_driver_sql(f"{explain} {statement}")).all()

    assert index in str(plan)


# What is said about it.


async def test_the_trail_holds_no_secret_and_no_address_of_a_mailbox(
    limen: Limen, http: httpx2.AsyncClient
) -> None:
    """Whatever is sent in its life: all that is kept of it are identifiers, and where from."""
    ada = await somebody(limen, http, "kanarie@nest.example.com")
    first = dict(ada.tokens)
    await ada.refresh(key="kanarieIdempotencyKey0123456789")
    await ada.refresh(first["refresh_token"])
    await attempt(http, "kanarie@nest.example.com", "kanarie sings at dawn")
    await attempt(http, "kanarie.unknown@nest.example.com", "kanarie sings at dawn")
    made = await limen.features.credentials.create("kanarie service")
    await bound(limen)

    kept = "\n".join(str(tuple(row)) for row in await rows(limen, audit))
    for secret in (*first.values(), *ada.tokens.values(), PASSWORD, made.secret):
        assert not isinstance(secret, str) or len(secret) < 10 or secret not in kept
    assert "kanarie" not in kept
    assert "nest" not in kept


def test_every_kind_is_explained() -> None:
    """In docs/audit.md, with where its outcome comes from."""
    page = (DOCS / "audit.md").read_text("utf-8")
    own = {
        value
        for name, value in vars(audit_chain).items()
        if name.isupper() and str(value).startswith("trail.")
    }

    assert set(re.findall(r"^\| `([a-z_.]+)` \|", page, re.MULTILINE)) == own | {
        kind for kind, _ in KINDS.values()
    }


async def test_its_own_entries_come_from_limen_itself(limen: Limen, clock: ManualClock) -> None:
    with coming_from(Origin("operator", address="203.0.113.9")):
        await bound(limen)
        clock.tick(1)
        assert await limen.features.audit.prune(clock()) == 1

    (entry,) = await bound(limen)
    assert (entry.kind, entry.actor) == ("trail.pruned", LIMEN.actor)
    assert "203.0.113.9" not in str(entry)
    await put(limen, [entry])
