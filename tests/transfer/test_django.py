"""A database that Django has made, and its dump: every hasher of Django's lets its people in."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from limen.errors import InvalidRequest
from limen.limen import Limen
from limen.stored_hashes import NO_PASSWORD
from limen.transfer.django import accounts_in
from limen.transfer.records import Record
from tests.people import attempt
from tests.transfer.files import CHEAP, DJANGO, DJANGO_DUMP, copied, imported, stored

pytestmark = pytest.mark.anyio

PASSWORDS = {
    "ada@example.com": "the analytical engine",
    "bob@example.com": "bob's own pass phrase",
    "Grace.Hopper@example.com": "½ a naïve café",
    "linus@example.com": "l" * 72 + " and then some",
    "ken@example.com": "k" * 72 + " and then some",
}
REFUSED = [
    (9, "unknown_hash"),
    (10, "hash_cost"),
    (11, "invalid_email"),
    (12, "duplicate_email"),
]


async def test_its_people_sign_in_whichever_hasher_they_had(
    limen: Limen, http: httpx2.AsyncClient
) -> None:
    report = await imported(limen, accounts_in(DJANGO))

    assert report.imported == 8
    assert sorted(report.refused) == REFUSED
    assert (report.without_password, report.disabled, report.superusers) == (1, 1, 1)
    for email, password in PASSWORDS.items():
        assert (await attempt(http, email, password)).status_code == 200
    found = await stored(limen)
    for email in PASSWORDS:
        assert found[email].password_hash.startswith(CHEAP)
    assert (await attempt(http, "dora@example.com", "no longer let in here")).status_code == 401
    assert found["root@example.com"].scope == ""


async def test_without_a_usable_password_nobody_signs_in(
    limen: Limen, http: httpx2.AsyncClient
) -> None:
    await imported(limen, accounts_in(DJANGO))
    uma = (await stored(limen))["uma@example.com"]
    assert uma.password_hash == NO_PASSWORD
    for guess in ("", "!", "yVQFc0H7yFooo7eEB39s2nHR2i34vh1JKQo4BNQM", uma.password_hash * 8):
        assert (await attempt(http, uma.email, guess)).status_code == 401

    await limen.features.accounts.set_password(uma.user_id, "a first one of her own")
    # The limit has counted four failures; a fifth attempt it lets pass.
    assert (await attempt(http, uma.email, "a first one of her own")).status_code == 200


async def test_bad_hashes_may_be_dropped_and_their_owners_kept(limen: Limen) -> None:
    report = await imported(limen, accounts_in(DJANGO), drop_bad_hashes=True)
    found = await stored(limen)

    assert sorted(report.refused) == REFUSED[2:]
    assert (report.imported, report.without_password) == (10, 3)
    for email in ("mona@example.com", "olga@example.com"):
        assert found[email].password_hash == NO_PASSWORD


def as_told(path: Path) -> list[tuple[int, str]]:
    return [(place, f"{found!r} {vars_of(found)}") for place, found in accounts_in(path)]


def vars_of(found: object) -> tuple[object, ...]:
    assert isinstance(found, Record)
    return found.email, found.password_hash, found.created_at, found.is_disabled


def test_a_dump_says_what_the_database_says() -> None:
    assert as_told(DJANGO_DUMP) == as_told(DJANGO)
    assert vars_of(next(accounts_in(DJANGO))[1])[2] == 1_610_713_845_678_000


def dump(folder: Path, *entries: Any, text: str | None = None) -> Path:
    path = folder / "dump.json"
    path.write_text(json.dumps(entries) if text is None else text)
    return path


GOOD: dict[str, Any] = {
    "model": "accounts.User",
    "pk": 7,
    "fields": {"email": "ada@example.com", "password": "!", "is_active": True},
}


def test_a_dump_may_hold_other_models_and_a_model_of_ones_own(tmp_path: Path) -> None:
    path = dump(tmp_path, {"model": "auth.group", "pk": 1, "fields": {}}, GOOD, 7, None)
    ((place, found),) = accounts_in(path, "accounts.user")

    assert place == 2
    assert isinstance(found, Record)
    assert (found.created_at, found.is_superuser) == (None, False)


@pytest.mark.parametrize(
    "fields",
    [{}, [], None, {**GOOD["fields"], "email": None}, {**GOOD["fields"], "is_active": "?"}],
)
def test_an_entry_that_lacks_something_is_refused_alone(tmp_path: Path, fields: Any) -> None:
    path = dump(tmp_path, {**GOOD, "fields": fields}, GOOD)
    (_, bad), (_, good) = accounts_in(path, "accounts.user")

    assert str(bad) == "malformed"
    assert isinstance(good, Record)


def test_a_dump_may_be_of_lines_or_indented(tmp_path: Path) -> None:
    lines = dump(tmp_path, text="\n".join([json.dumps(GOOD)] * 3) + "\n")
    assert [place for place, _ in accounts_in(lines, "accounts.user")] == [1, 2, 3]
    indented = dump(tmp_path, text=json.dumps([GOOD] * 3, indent=4))
    assert [place for place, _ in accounts_in(indented, "accounts.user")] == [1, 2, 3]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "email,password\n",
        json.dumps([GOOD])[:-3],
        json.dumps([GOOD]) + "?",
        "[" * 100_000,
        '{"model": "accounts.user", "fields": ' + "[" * 100_000,
    ],
    ids=["empty", "no entry", "null", "CSV", "cut", "more behind", "deep", "deep inside"],
)
def test_what_is_no_dump_is_told_in_words(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidRequest):
        list(accounts_in(dump(tmp_path, text=text), "accounts.user"))


def test_a_table_of_ones_own_may_lack_what_django_adds(tmp_path: Path) -> None:
    file = copied(
        DJANGO,
        tmp_path,
        "CREATE TABLE people AS SELECT id, email, password, is_active FROM auth_user",
    )
    found = list(accounts_in(file, "people"))

    assert len(found) == 12
    assert all(isinstance(one, Record) and one.created_at is None for _, one in found)
