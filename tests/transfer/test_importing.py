"""Importing: each row is stored, refused or there already, and the report says which."""

import asyncio
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import httpx2
import pytest

from limen.clock import SECOND
from limen.errors import DatabaseUnavailable, InvalidRequest
from limen.events import Event, Registered
from limen.limen import Limen
from limen.stored_hashes import NO_PASSWORD
from limen.transfer.importing import AccountImport, Report
from limen.transfer.records import WHY, Record, Refusal, Row
from tests.clock import ManualClock
from tests.people import PASSWORD, Person, attempt
from tests.stored import moved_away
from tests.transfer.files import HASH, imported, stored

pytestmark = pytest.mark.anyio

ADA = "ada@example.com"
PAGE = Path(__file__).parents[2] / "docs" / "passwords.md"


def account(email: str = ADA, **changes: Any) -> Record:
    return Record(**{"email": email, "password_hash": HASH, **changes})


def people(number: int, first: int = 0) -> Iterator[Row]:
    for place in range(first, first + number):
        yield place, account(f"person{place}@example.com")


def test_every_refusal_has_its_words_here_and_on_the_page() -> None:
    table = PAGE.read_text("utf-8").partition("### What is refused")[2].partition("\n## ")[0]

    assert set(WHY) == set(get_args(Refusal))
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [*WHY]


async def test_an_account_is_stored_as_it_is_told(
    limen: Limen, http: httpx2.AsyncClient, clock: ManualClock, happened: list[Event]
) -> None:
    told = account(" Ada@EXAMPLE.com ", scope="admin", created_at=7 * SECOND, user_id="f" * 32)
    report = await imported(limen, [(1, told)])
    found = await limen.features.accounts.get("f" * 32)

    assert report == Report(imported=1)
    assert (found.email, found.scope, found.cv) == ("Ada@example.com", "admin", 1)
    assert (found.created_at, found.disabled_at) == (7 * SECOND, None)
    assert happened[-1] == Registered("f" * 32)
    assert (await attempt(http, ADA)).status_code == 200
    assert clock() != found.created_at


async def test_what_is_not_told_is_now_and_new(limen: Limen, clock: ManualClock) -> None:
    await imported(limen, [(1, account()), (2, account("bob@example.com", is_disabled=True))])
    found = await stored(limen)

    assert found[ADA].created_at == found["bob@example.com"].disabled_at == clock()
    assert len(bytes.fromhex(found[ADA].user_id)) == 16


REFUSED: dict[str, tuple[dict[str, Any], Refusal]] = {
    "no address": ({"email": ""}, "invalid_email"),
    "half a character": ({"email": "ad\udcff@example.com"}, "invalid_email"),
    "header injection": ({"email": "ada@example.com\r\nBcc: eve@x.example"}, "invalid_email"),
    "a long address": ({"email": "x" * 100_000}, "invalid_email"),
    "no hash": ({"password_hash": ""}, "unknown_hash"),
    "a password": ({"password_hash": PASSWORD}, "unknown_hash"),
    "a hash with a line feed": ({"password_hash": HASH + "\n"}, "unknown_hash"),
    "a hash of 4 GiB": ({"password_hash": HASH.replace("m=8", "m=4194304")}, "hash_cost"),
    "a cheap bcrypt": ({"password_hash": "$2b$04$" + "." * 53}, "hash_cost"),
    "a scope with quotes": ({"scope": 'a"b'}, "invalid_scope"),
    "before the epoch": ({"created_at": -1}, "invalid_moment"),
    "in two days": ({"created_at": 2**62}, "invalid_moment"),
    "a short user_id": ({"user_id": "f" * 31}, "invalid_user_id"),
    "a user_id in capitals": ({"user_id": "F" * 32}, "invalid_user_id"),
    "a user_id of other digits": ({"user_id": "٣" * 32}, "invalid_user_id"),
}


async def test_what_is_not_acceptable_is_refused_alone(limen: Limen) -> None:
    names, cases = list(REFUSED), REFUSED.values()
    rows = [(place, account(**changes)) for place, (changes, _) in enumerate(cases)]
    rows.insert(7, (99, account("bob@example.com")))
    for dry_run in (True, False):
        report = await imported(limen, rows, dry_run=dry_run)
        assert report.imported == 1
        found = {names[place]: code for place, code in report.refused}
        assert found == {name: code for name, (_, code) in REFUSED.items()}

    assert set(await stored(limen)) == {"bob@example.com"}


async def test_of_two_rows_with_one_address_the_first_is_stored(limen: Limen) -> None:
    rows = [
        (1, account("ADA@example.com", password_hash="")),  # which is none, so that it is no first
        (2, account(ADA, scope="second")),
        (3, account("ａｄａ@Example.com", scope="third")),
        *people(1200, first=10),
        (5000, account("Person600@example.com", scope="far behind")),
    ]
    for dry_run in (True, False):
        report = await imported(limen, rows, dry_run=dry_run)
        assert report.imported == 1201
        assert sorted(report.refused) == [
            (1, "unknown_hash"),
            (3, "duplicate_email"),
            (5000, "duplicate_email"),
        ]

    assert (await stored(limen))[ADA].scope == "second"


async def test_who_has_an_account_keeps_it_as_it_is(
    limen: Limen, http: httpx2.AsyncClient, ada: Person
) -> None:
    before = await stored(limen)
    rows = [(1, account(" ADA@example.com", scope="admin", is_disabled=True)), *people(1, first=2)]
    for dry_run in (True, False):
        report = await imported(limen, rows, dry_run=dry_run)
        assert report == Report(imported=1, there_already=[1])
    after = await stored(limen)

    assert after[ADA] == before[ADA]
    assert (await ada.me()).status_code == 200
    assert (await attempt(http, ADA)).status_code == 200


async def test_a_user_id_is_given_once(limen: Limen) -> None:
    await imported(limen, [(1, account(user_id="a" * 32))])
    rows = [
        (1, account(user_id="a" * 32)),
        (2, account("bob@example.com", user_id="a" * 32)),
        (3, account("eve@example.com", user_id="b" * 32)),
        (4, account("kim@example.com", user_id="b" * 32)),
    ]
    for dry_run in (True, False):
        report = await imported(limen, rows, dry_run=dry_run)
        assert report == Report(
            imported=1,
            there_already=[1],
            refused=[(2, "user_id_taken"), (4, "user_id_taken")],
        )

    assert (await limen.features.accounts.get("a" * 32)).email == ADA


async def test_a_dry_run_stores_nothing(limen: Limen, happened: list[Event]) -> None:
    report = await imported(limen, people(700), dry_run=True)

    assert report.imported == 700
    assert await stored(limen) == {}
    assert not [event for event in happened if isinstance(event, Registered)]


class _Interrupted(Exception):
    pass


async def test_who_is_interrupted_begins_again(limen: Limen) -> None:
    def torn() -> Iterator[Row]:
        yield from people(1234)
        raise _Interrupted

    with pytest.raises(_Interrupted):
        await imported(limen, torn())
    assert len(await stored(limen)) == 1000  # two batches

    report = await imported(limen, people(1500))
    assert report.imported == 500
    assert report.there_already == list(range(1000))
    assert len(await stored(limen)) == 1500


async def test_without_the_database_nothing_is_stored(limen: Limen) -> None:
    with moved_away(limen), pytest.raises(DatabaseUnavailable):
        await imported(limen, people(1))

    assert await stored(limen) == {}


async def test_two_imports_and_a_registration_at_once_make_each_account_once(
    limen: Limen, twin: Limen
) -> None:
    """Whoever comes second finds it there, and reports so."""
    others = [twin.features.accounts.create(f"person{n}@example.com", PASSWORD) for n in range(20)]
    first, second, *made = await asyncio.gather(
        imported(limen, people(600)),
        imported(twin, people(600)),
        *others,
        return_exceptions=True,
    )

    assert isinstance(first, Report)
    assert isinstance(second, Report)
    registered = sum(not isinstance(one, Exception) for one in made)
    assert first.imported + second.imported + registered == 600
    assert first.imported + len(first.there_already) == 600
    assert second.imported + len(second.there_already) == 600
    assert len(await stored(limen)) == 600


async def test_a_scope_for_superusers_must_be_one(limen: Limen) -> None:
    for scope in ('a"b', "a" * 1025, "\x1b[2J"):
        with pytest.raises(InvalidRequest):
            await imported(limen, people(1), superuser_scope=scope)

    assert await stored(limen) == {}


async def test_a_scope_of_ones_own_stays(limen: Limen) -> None:
    rows = [
        (1, account(scope="billing", is_superuser=True)),
        (2, account("b@example.com", is_superuser=True)),
    ]
    report = await imported(limen, rows, superuser_scope="admin")

    assert report.superusers == 2
    assert (await stored(limen))[ADA].scope == "billing"
    assert (await stored(limen))["b@example.com"].scope == "admin"


async def test_a_dropped_hash_leaves_no_password(limen: Limen, http: httpx2.AsyncClient) -> None:
    rows = [(1, account(password_hash="plain text")), (2, account("b@example.com"))]
    report = await imported(limen, rows, drop_bad_hashes=True)

    assert report == Report(imported=2, without_password=1)
    assert (await stored(limen))[ADA].password_hash == NO_PASSWORD
    assert (await attempt(http, ADA, "plain text")).status_code == 401
    assert (await attempt(http, "b@example.com")).status_code == 200


async def test_an_import_shows_neither_address_nor_hash(limen: Limen) -> None:
    rows = [(1, account()), (2, account()), (3, account("nobody", password_hash="$1$secret"))]
    report = await imported(limen, rows)
    features = limen.features
    shown = [
        report,
        rows,
        AccountImport(features.database, features.log, features.emails, clock=limen._clock),
    ]

    assert len(report.refused) == 2
    for one in itertools.chain(shown, (found for _, found in rows)):
        for secret in (ADA, "nobody", "argon2", "$1$secret"):
            assert secret not in repr(one)
