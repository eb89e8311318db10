"""Exporting: all that an import needs, and no hash unless it is asked for."""

import json

import httpx2
import pytest

from limen.limen import Limen
from limen.transfer import csv_file, django
from limen.transfer.exporting import exported
from limen.transfer.json_lines import accounts_in
from limen.transfer.records import COLUMNS
from tests.people import Person, attempt
from tests.transfer.files import DJANGO, imported, lines, stored
from tests.transfer.test_importing import people

pytestmark = pytest.mark.anyio


async def written(limen: Limen, *, with_hashes: bool = True) -> list[str]:
    pages = exported(limen.features.accounts, with_hashes=with_hashes)
    return [json.dumps(document) async for page in pages for document in page]


async def remove_all(limen: Limen) -> None:
    async with limen.features.database.write() as connection:
        await connection.exec_driver_sql("DELETE FROM accounts")


async def test_what_was_exported_can_be_imported_and_is_the_same(
    limen: Limen, http: httpx2.AsyncClient, ada: Person
) -> None:
    await limen.features.accounts.disable(ada.user_id)
    await limen.features.accounts.enable(ada.user_id)
    await imported(limen, django.accounts_in(DJANGO), superuser_scope="admin")
    before, texts = await stored(limen), await written(limen)
    await remove_all(limen)
    report = await imported(limen, accounts_in(lines(*texts)))
    after = await stored(limen)

    assert (report.imported, report.refused) == (len(before), [])
    fresh = {"cv", "disabled_at"}  # of the credentials that were given out, none goes along
    for email, row in before.items():
        kept = {name: value for name, value in row._asdict().items() if name not in fresh}
        assert kept == {name: getattr(after[email], name) for name in kept}
        assert (row.disabled_at is None) == (after[email].disabled_at is None)
    assert (await attempt(http, ada.email)).status_code == 200
    assert await written(limen) == texts


async def test_it_can_be_turned_into_csv_and_back(limen: Limen) -> None:
    await imported(limen, people(3))
    texts = await written(limen)
    cells = [[str(json.loads(text)[name]) for name in COLUMNS] for text in texts]
    quoted = [",".join(f'"{cell}"' for cell in row) for row in cells]
    await remove_all(limen)
    report = await imported(limen, csv_file.accounts_in(lines(",".join(COLUMNS), *quoted)))

    assert report.imported == 3
    assert await written(limen) == texts


async def test_hashes_are_exported_only_where_they_are_asked_for(limen: Limen) -> None:
    await imported(limen, people(2))

    for text in await written(limen, with_hashes=False):
        assert "argon2" not in text
        assert set(json.loads(text)) == set(COLUMNS) - {"password_hash"}
    for text in await written(limen):
        assert set(json.loads(text)) == set(COLUMNS)


async def test_without_hashes_accounts_come_back_without_passwords_if_that_is_wanted(
    limen: Limen,
) -> None:
    await imported(limen, people(2))
    texts = await written(limen, with_hashes=False)
    await remove_all(limen)

    refused = await imported(limen, accounts_in(lines(*texts)))
    assert [code for _, code in refused.refused] == ["unknown_hash"] * 2
    kept = await imported(limen, accounts_in(lines(*texts)), drop_bad_hashes=True)
    assert (kept.imported, kept.without_password) == (2, 2)


async def test_all_pages_are_exported(limen: Limen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limen.transfer.exporting.PAGE", 7)
    await imported(limen, people(50))
    pages = [len(page) async for page in exported(limen.features.accounts)]

    assert sum(pages) == 50
    assert max(pages) == 7
