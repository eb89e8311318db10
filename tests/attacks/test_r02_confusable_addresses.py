"""R2, CVE-2019-19844 (Django): mail meant for `mike@` went to whoever had typed `mıke@`.

Mail goes to the stored address of the account that was found, and to no other.
"""

from pathlib import Path

import pytest

from limen.database.schema import accounts
from limen.limen import Limen
from limen.settings import Settings
from tests.attacks.test_b07_case_and_unicode_variants import OTHER_ACCOUNT, SAME_ACCOUNT, VICTIM
from tests.mailbox import answered, mails
from tests.people import PASSWORD, Person
from tests.stored import rows
from tests.strangers import ASKING, with_mail

pytestmark = pytest.mark.anyio

STORED = "Victim@example.com"
SAME = SAME_ACCOUNT[:5]  # more are not admitted in an hour
TURKISH = {"m\u0131ke@example.com": "mike@example.com", "M\u0130KE@example.com": "mike@example.com"}


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return with_mail(tmp_path, database_url)


async def victim(limen: Limen, *, is_verified: bool) -> str:
    account = await limen.features.accounts.create(STORED, PASSWORD)
    if is_verified:
        await limen.features.accounts.change(account.user_id, "email_verified", verified_at=1)
    return account.user_id


@pytest.mark.parametrize("what", ASKING)
async def test_every_spelling_of_an_account_mails_its_stored_address(
    limen: Limen, ada: Person, what: str
) -> None:
    user_id = await victim(limen, is_verified=False)
    for spelling in SAME:
        assert (await ASKING[what](ada, spelling)).status_code == 202

    found = await mails(limen)
    assert {(mail.to, mail.user_id) for mail in found} == {(STORED, user_id)}
    assert len(found) == len(SAME)


@pytest.mark.parametrize("what", ASKING)
@pytest.mark.parametrize("confusable", [*OTHER_ACCOUNT, *TURKISH])
async def test_what_only_looks_like_it_mails_nothing_to_it_and_nothing_about_it(
    limen: Limen, ada: Person, what: str, confusable: str
) -> None:
    mike = await limen.features.accounts.create("mike@example.com", PASSWORD)
    user_id = await victim(limen, is_verified=what == "register")
    await ASKING[what](ada, confusable)

    for mail in await mails(limen):
        assert mail.to not in (VICTIM, STORED, "mike@example.com")
        assert mail.user_id not in (user_id, mike.user_id)


async def test_who_registers_what_looks_like_it_has_an_account_of_his_own(
    limen: Limen, ada: Person
) -> None:
    user_id = await victim(limen, is_verified=True)
    for confusable in OTHER_ACCOUNT:
        await ASKING["register"](ada, confusable)
        await answered(limen)

    found = await rows(limen, accounts)
    assert len({row.email_key for row in found}) == len(found) == len(OTHER_ACCOUNT) + 2
    (kept,) = [row for row in found if row.user_id == user_id]
    assert (kept.email, kept.cv, kept.verified_at) == (STORED, 1, 1)
