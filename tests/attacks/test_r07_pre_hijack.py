"""R7, CVE-2026-53516 (Better Auth): who registered a victim's address first was trusted later.

The attacker types the victim's address, chooses the password, and waits for the victim to vouch for
it. However the victim answers the mails, the attacker's account is never verified by that.
"""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from limen.database.schema import accounts
from limen.errors import EmailTaken
from limen.limen import Limen
from limen.settings import Settings
from tests.mailbox import answered, last_mail, mails
from tests.people import AUTH, PASSWORD, Person, attempt, calling_from
from tests.stored import rows
from tests.strangers import change, register, with_mail

pytestmark = pytest.mark.anyio

VICTIM = "victim@example.com"
VICTIMS_OWN = "what the victim has chosen"


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return with_mail(tmp_path, database_url)


@pytest.fixture
async def attacker(limen: Limen, http: httpx2.AsyncClient) -> Person:
    """Somebody who has registered the victim's address and has signed in."""
    body = {"email": VICTIM, "password": PASSWORD}
    assert (await http.post(f"{AUTH}/register", json=body)).status_code == 202
    await answered(limen)
    account = await limen.features.accounts.find(VICTIM)
    assert account is not None
    person = Person(http, VICTIM, account.user_id)
    assert (await person.sign_in()).status_code == 200
    return person


async def confirm(http: httpx2.AsyncClient, path: str = "verify", **body: Any) -> tuple[int, str]:
    answer = await http.post(f"{AUTH}/email/{path}/confirm", json=body)
    return answer.status_code, answer.json()["code"] if answer.content else ""


async def is_trusted(limen: Limen, attacker: Person) -> bool:
    """Whether anything says that the attacker reads the victim's mail."""
    account = next(row for row in await rows(limen, accounts) if row.user_id == attacker.user_id)
    await attacker.refresh()
    claims = await limen.verifier.verify(attacker.tokens["access_token"])
    says_me = (await attacker.me()).json()["email_verified"]
    return account.verified_at is not None or claims.email_verified or says_me


async def test_the_victim_who_opens_the_link_vouches_for_nothing(
    limen: Limen, attacker: Person
) -> None:
    mail = await last_mail(limen, VICTIM)
    async with calling_from(limen, "203.0.113.7") as victim:
        await victim.get(f"/account#verify={mail.token}")
        assert await confirm(victim, code=mail.token) == (401, "missing_token")
        for password in (VICTIMS_OWN, ""):
            status = await confirm(victim, code=mail.token, password=password)
            assert status == (401, "invalid_credentials")
        body = {"code": mail.digits, "email": VICTIM, "password": VICTIMS_OWN}
        assert await confirm(victim, **body) == (401, "invalid_credentials")

    assert not await is_trusted(limen, attacker)


async def test_the_victim_who_registers_too_changes_and_verifies_nothing(
    limen: Limen, attacker: Person
) -> None:
    async with calling_from(limen, "203.0.113.7") as victim:
        body = {"email": VICTIM, "password": VICTIMS_OWN}
        assert (await victim.post(f"{AUTH}/register", json=body)).status_code == 202
        mail = await last_mail(limen, VICTIM)
        status = await confirm(victim, code=mail.token, password=VICTIMS_OWN)
        assert status == (401, "invalid_credentials")
        assert (await attempt(victim, VICTIM, VICTIMS_OWN)).status_code == 401

    assert not await is_trusted(limen, attacker)
    assert (await attacker.sign_in()).status_code == 200


async def test_nobody_takes_an_unverified_account_over_by_registering_it_again(
    limen: Limen, attacker: Person
) -> None:
    """The other way round: the victim registered first, and the attacker tries it afterwards."""
    owner = attacker  # whoever came first
    async with calling_from(limen, "203.0.113.7") as latecomer:
        await register(Person(latecomer, VICTIM, ""), VICTIM)
        await answered(limen)
        mail = await last_mail(limen, VICTIM)
        body = {"email": VICTIM, "password": "another fine password"}
        assert (await attempt(latecomer, **body)).status_code == 401

    status = await confirm(owner.http, code=mail.token, password=PASSWORD)
    assert status == (204, "")
    assert await is_trusted(limen, owner)


async def test_the_attacker_without_the_mailbox_cannot_verify_it(
    limen: Limen, attacker: Person
) -> None:
    mail = await last_mail(limen, VICTIM)
    guesses = [f"{number:06d}" for number in range(20) if f"{number:06d}" != mail.digits]
    answers = [
        await attacker.http.post(
            f"{AUTH}/email/verify/confirm", json={"code": guess}, headers=attacker.bearer()
        )
        for guess in guesses
    ]

    assert [one.status_code for one in answers] == [400] * 5 + [429] * (len(guesses) - 5)
    assert not await is_trusted(limen, attacker)


async def test_the_victim_who_opens_the_link_of_a_change_moves_no_account_to_his_address(
    limen: Limen, ada: Person
) -> None:
    """The attacker has a good account elsewhere, and asks for the victim's address as its new."""
    assert (await change(ada, VICTIM)).status_code == 202
    mail = await last_mail(limen, VICTIM)
    async with calling_from(limen, "203.0.113.7") as victim:
        assert await confirm(victim, "change", code=mail.token) == (401, "missing_token")
        status = await confirm(victim, "change", code=mail.token, password=VICTIMS_OWN)
        assert status == (401, "invalid_credentials")

        own = {"email": VICTIM, "password": VICTIMS_OWN}
        assert (await victim.post(f"{AUTH}/register", json=own)).status_code == 202
        await answered(limen)
        assert (await attempt(victim, **own)).status_code == 200

    status = await confirm(ada.http, "change", code=mail.token, password=PASSWORD)
    assert status == (400, "invalid_code")
    assert (await ada.me()).json()["email"] == ada.email


async def test_a_verified_account_of_another_address_does_not_verify_this_one(
    limen: Limen, ada: Person, attacker: Person
) -> None:
    """A code of one's own account is good for that account's address and no other."""
    await ada.http.post(f"{AUTH}/email/verify", headers=ada.bearer())
    mail = await last_mail(limen, ada.email)
    answer = await attacker.http.post(
        f"{AUTH}/email/verify/confirm", json={"code": mail.token}, headers=attacker.bearer()
    )

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_code")
    assert not await is_trusted(limen, attacker)


async def test_an_invitation_gives_nothing_to_whoever_registered_the_address_before(
    limen: Limen, attacker: Person
) -> None:
    with pytest.raises(EmailTaken):
        await limen.features.invitations.invite(VICTIM, scope="admin")

    assert not await is_trusted(limen, attacker)
    assert [mail.message for mail in await mails(limen, VICTIM)] == ["verify"]
