"""A database that fastapi-users has made: its people sign in here with the passwords they have."""

from pathlib import Path
from uuid import UUID

import httpx2
import pytest

from limen.errors import InvalidRequest
from limen.limen import Limen
from limen.transfer.fastapi_users import accounts_in
from limen.transfer.records import Record
from tests.people import attempt
from tests.transfer.files import CHEAP, FASTAPI_USERS, copied, imported, stored

pytestmark = pytest.mark.anyio

PASSWORDS = {
    "ada@example.com": "the analytical engine",
    "bob@example.com": "bob's own pass phrase",
    "Grace.Hopper@example.com": "½ a naïve café",
    "root@example.com": "not so super secret",
}
DORA = "dora@example.com", "no longer let in here"


async def test_its_people_sign_in_with_their_passwords(
    limen: Limen, http: httpx2.AsyncClient
) -> None:
    report = await imported(limen, accounts_in(FASTAPI_USERS))
    before = await stored(limen)

    assert (report.imported, report.refused) == (5, [])
    assert (report.disabled, report.superusers, report.without_password) == (1, 1, 0)
    assert {email: row.password_hash[:30] for email, row in before.items()} == {
        **dict.fromkeys([*PASSWORDS, DORA[0]], "$argon2id$v=19$m=65536,t=3,p=4"),
        "bob@example.com": before["bob@example.com"].password_hash[:30],
    }
    assert before["bob@example.com"].password_hash.startswith("$2b$12$")
    for email, password in PASSWORDS.items():
        assert (await attempt(http, email, password.title())).status_code == 401
        signed_in = await attempt(http, email, password)
        assert signed_in.status_code == 200
    assert (await attempt(http, *DORA)).status_code == 401

    after = await stored(limen)
    for email, password in PASSWORDS.items():
        assert after[email].password_hash.startswith(CHEAP)
        assert (await attempt(http, email, password)).status_code == 200
    assert after[DORA[0]].password_hash == before[DORA[0]].password_hash


async def test_a_random_uuid_goes_on_as_the_user_id(limen: Limen) -> None:
    """So that what an application has stored under it can still be found."""
    await imported(limen, accounts_in(FASTAPI_USERS))
    ada = (await stored(limen))["ada@example.com"]

    assert str(UUID(ada.user_id)) == "90fb3e33-5055-48f8-90a7-48459760d388"


@pytest.mark.parametrize(
    "user_id",
    [
        "7",
        "no-uuid",
        "ce9a3f76-1b0a-11ef-9262-0242ac120002",
        "018fb5f4-3d1e-7c0a-9b7a-0242ac120002",
    ],
    ids=["number", "text", "made of a clock and an address", "made of a clock"],
)
def test_any_other_id_is_replaced(tmp_path: Path, user_id: str) -> None:
    file = copied(FASTAPI_USERS, tmp_path, f"UPDATE user SET id = '{user_id}' WHERE rowid = 1")  # noqa: S608
    _, found = next(accounts_in(file))

    assert isinstance(found, Record)
    assert found.user_id is None


@pytest.mark.parametrize("scope", ["", "admin", "admin billing"])
async def test_a_superuser_has_the_scope_that_the_operator_says(limen: Limen, scope: str) -> None:
    await imported(limen, accounts_in(FASTAPI_USERS), superuser_scope=scope)
    scopes = {email: row.scope for email, row in (await stored(limen)).items()}

    assert scopes.pop("root@example.com") == scope
    assert set(scopes.values()) == {""}


def test_what_it_knows_of_the_address_is_told() -> None:
    found = [record for _, record in accounts_in(FASTAPI_USERS) if isinstance(record, Record)]

    assert [one.is_verified for one in found] == [True, False, False, True, False]


def test_a_table_may_have_another_name(tmp_path: Path) -> None:
    file = copied(FASTAPI_USERS, tmp_path, 'ALTER TABLE user RENAME TO "my ""people"""')

    assert len(list(accounts_in(file, 'my "people"'))) == 5
    with pytest.raises(InvalidRequest, match="--table"):
        list(accounts_in(file))


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE user DROP COLUMN is_active",
        "ALTER TABLE user RENAME COLUMN hashed_password TO hash",
        "DROP TABLE user",
    ],
)
def test_another_table_is_none(tmp_path: Path, statement: str) -> None:
    with pytest.raises(InvalidRequest):
        list(accounts_in(copied(FASTAPI_USERS, tmp_path, statement)))


@pytest.mark.parametrize("cut", [0, 100, 5000])
def test_a_file_that_is_no_whole_database_is_told_in_words(tmp_path: Path, cut: int) -> None:
    file = tmp_path / "cut.db"
    file.write_bytes(FASTAPI_USERS.read_bytes()[:cut])

    with pytest.raises(InvalidRequest):
        list(accounts_in(file))


def test_the_file_is_not_written_to(tmp_path: Path) -> None:
    file = copied(FASTAPI_USERS, tmp_path)
    before = file.read_bytes()
    file.chmod(0o400)
    list(accounts_in(file))

    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_values_of_another_kind_refuse_their_row_alone(tmp_path: Path) -> None:
    file = copied(
        FASTAPI_USERS,
        tmp_path,
        "UPDATE user SET email = x'ff00' WHERE rowid = 1",
        "UPDATE user SET hashed_password = x'07' WHERE rowid = 2",
        "UPDATE user SET is_active = 'perhaps' WHERE rowid = 3",
        "UPDATE user SET email = CAST(x'ff40ff' AS TEXT) WHERE rowid = 4",
    )
    found = dict(accounts_in(file))

    assert [str(found[rowid]) for rowid in (1, 2, 3)] == ["malformed"] * 3
    assert isinstance(found[4], Record)  # whose address nobody can have: that is seen later
    assert isinstance(found[5], Record)
