"""R12: a mailbox filled by strangers, who have limen send it mail after mail.

All calls that mail an address share its limit, whoever makes them and whether it has an account;
and whoever makes them has a limit of his own, whomever he has mailed.
"""

from pathlib import Path

import pytest

from limen.limen import Limen
from limen.settings import Settings
from tests.attacks.test_b07_case_and_unicode_variants import SAME_ACCOUNT, VICTIM
from tests.clock import ManualClock
from tests.mailbox import answered, mails
from tests.people import PASSWORD, Person, calling_from
from tests.strangers import ASKING, with_mail

pytestmark = pytest.mark.anyio

PER_HOUR = 5
PER_ADDRESS = 50


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return with_mail(tmp_path, database_url)


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "unknown"])
async def test_a_mailbox_gets_five_mails_an_hour_from_all_together(
    limen: Limen, ada: Person, clock: ManualClock, *, is_known: bool
) -> None:
    if is_known:
        await limen.features.accounts.create(VICTIM, PASSWORD)
    admitted = 0
    for number in range(24):
        async with calling_from(limen, f"198.51.100.{number}") as client:
            person = Person(client, ada.email, ada.user_id, tokens=ada.tokens)
            ask = list(ASKING.values())[number % len(ASKING)]
            answer = await ask(person, SAME_ACCOUNT[number % len(SAME_ACCOUNT)])
            admitted += answer.status_code == 202
            assert answer.status_code in (202, 429)

    assert admitted == PER_HOUR
    assert len(await mails(limen)) <= PER_HOUR
    clock.tick(3600)
    assert (await ASKING["verify"](ada, VICTIM)).status_code == 202
    await answered(limen)


async def test_one_address_causes_fifty_mails_an_hour_whoever_gets_them(
    limen: Limen, ada: Person
) -> None:
    async with calling_from(limen, "198.51.100.7") as client:
        person = Person(client, ada.email, ada.user_id, tokens=ada.tokens)
        statuses = [
            (
                await list(ASKING.values())[number % len(ASKING)](person, f"u{number}@example.com")
            ).status_code
            for number in range(PER_ADDRESS + 6)
        ]

    assert statuses == [202] * PER_ADDRESS + [429] * 6
    assert len(await mails(limen)) <= PER_ADDRESS


async def test_signing_in_and_guessing_mail_nobody(limen: Limen, ada: Person) -> None:
    for _ in range(5):
        await ada.sign_in()
        await ada.refresh()
    for number in range(10):
        body = {"code": f"{number:06d}", "email": ada.email, "password": "not the password"}
        await ada.http.post("/api/v1/auth/email/verify/confirm", json=body)

    assert await mails(limen) == []
