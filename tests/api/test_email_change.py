"""POST /email/change and /email/change/confirm, as a client sees them."""

import asyncio
from typing import Any

import httpx2
import pytest

from limen.database.schema import accounts
from limen.events import AccountChanged, Event
from limen.limen import Limen
from tests.clock import ManualClock
from tests.mailbox import Mailed, last_mail, mails, written
from tests.people import AUTH, PASSWORD, Person, attempt, calling_from, somebody
from tests.stored import rows, slots_taken
from tests.test_codes import wrong

pytestmark = pytest.mark.anyio

CHANGE, CONFIRM = f"{AUTH}/email/change", f"{AUTH}/email/change/confirm"
NEW = "Ada@new.example.com"


async def ask(person: Person, email: str = NEW, password: str = PASSWORD) -> httpx2.Response:
    body = {"email": email, "current_password": password}
    return await person.http.post(CHANGE, json=body, headers=person.bearer())


async def mailed(limen: Limen, person: Person, email: str = NEW) -> Mailed:
    """Ask for the change and return the mail to the new address."""
    assert (await ask(person, email)).status_code == 202
    return await last_mail(limen, email)


async def confirm(
    http: httpx2.AsyncClient, headers: dict[str, str] | None = None, **body: Any
) -> tuple[int, str]:
    answer = await http.post(CONFIRM, json=body, headers=headers or {})
    return answer.status_code, answer.json()["code"] if answer.content else ""


@pytest.mark.parametrize("form", ["token", "digits"])
async def test_a_code_from_the_new_mailbox_changes_the_address_and_verifies_it(
    limen: Limen, ada: Person, clock: ManualClock, happened: list[Event], form: str
) -> None:
    mail = await mailed(limen, ada)
    assert (mail.message, mail.to, mail.user_id) == ("email_change", NEW, ada.user_id)
    (account,) = await rows(limen, accounts)
    assert account.email == "ada@example.com"

    code = mail.token if form == "token" else mail.digits
    assert await confirm(ada.http, ada.bearer(), code=code) == (204, "")

    (account,) = await rows(limen, accounts)
    assert (account.email, account.email_key) == (NEW, "ada@new.example.com")
    assert account.verified_at == clock.now
    assert AccountChanged(ada.user_id, "email_changed") in happened
    assert (await attempt(ada.http, "ada@new.example.com")).status_code == 200
    assert (await attempt(ada.http, "ada@example.com")).status_code == 401


async def test_the_old_address_is_told(limen: Limen, ada: Person) -> None:
    mail = await mailed(limen, ada)
    assert await mails(limen, "ada@example.com") == []
    await confirm(ada.http, ada.bearer(), code=mail.token)

    (notice,) = await mails(limen, "ada@example.com")
    assert (notice.message, notice.code) == ("email_changed", None)


async def test_other_sessions_end_and_the_one_that_confirms_goes_on(
    limen: Limen, ada: Person
) -> None:
    other = Person(ada.http, ada.email, ada.user_id)
    await other.sign_in()
    mail = await mailed(limen, ada)
    assert await confirm(ada.http, ada.bearer(), code=mail.token) == (204, "")

    assert (await other.me()).status_code == 401
    assert (await other.refresh()).status_code == 401
    assert (await ada.me()).status_code == 401, "its access token is void, too"
    assert (await ada.refresh()).status_code == 200
    me = (await ada.me()).json()
    assert (me["email"], me["email_verified"]) == (NEW, True)


async def test_confirmed_with_the_password_it_ends_all_sessions(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    mail = await mailed(limen, ada)
    assert await confirm(stranger, code=mail.token, password=PASSWORD) == (204, "")

    assert (await ada.me()).status_code == 401
    assert (await ada.refresh()).status_code == 401


async def test_six_digits_and_a_password_need_the_address_that_one_signs_in_with(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    mail = await mailed(limen, ada)
    body: dict[str, Any] = {"code": mail.digits, "password": PASSWORD}

    assert await confirm(stranger, **body) == (422, "invalid_request")
    assert await confirm(stranger, **body, email=NEW) == (401, "invalid_credentials")
    assert await confirm(stranger, **body, email=ada.email) == (204, "")


async def test_a_code_alone_changes_nothing(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    """Or else whoever opens a link that a stranger had sent vouches for the stranger's account."""
    mail = await mailed(limen, ada)

    assert await confirm(stranger, code=mail.token) == (401, "missing_token")
    (account,) = await rows(limen, accounts)
    assert account.email == "ada@example.com"


async def test_asking_needs_a_session_and_the_current_password(limen: Limen, ada: Person) -> None:
    body = {"email": NEW, "current_password": PASSWORD}
    anonymous = await ada.http.post(CHANGE, json=body)
    wrong_password = await ask(ada, password="not the password")

    assert (anonymous.status_code, anonymous.json()["code"]) == (401, "missing_token")
    assert (wrong_password.status_code, wrong_password.json()["code"]) == (403, "wrong_password")
    assert await written(limen, "request") == []
    taken = await slots_taken(limen)
    assert taken["login"] + taken.get("login-device", 0) == 1
    assert "mail" not in taken


async def test_a_wrong_password_is_counted_like_a_failed_sign_in(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    thief = Person(stranger, ada.email, ada.user_id, tokens=ada.tokens)
    for _ in range(5):
        assert (await ask(thief, password="not the password")).status_code == 403

    assert (await ask(thief)).status_code == 429
    assert (await attempt(stranger, ada.email)).status_code == 429
    assert (await written(limen, "request")) == []


@pytest.mark.parametrize("email", ["nobody", "a@b@c", "ada＠example.com", "ada@localhost"])
async def test_an_address_that_no_account_can_have_is_refused(
    limen: Limen, ada: Person, email: str
) -> None:
    answer = await ask(ada, email)

    assert (answer.status_code, answer.json()["field"]) == (422, "email")
    assert await written(limen, "request") == []


async def test_a_taken_address_is_answered_like_a_free_one_and_its_owner_is_told(
    limen: Limen, ada: Person
) -> None:
    bob = await limen.features.accounts.create("Bob@example.com", PASSWORD)
    carol = await limen.features.accounts.create("carol@example.com", PASSWORD)
    await limen.features.accounts.disable(carol.user_id)

    emails = ("bob@EXAMPLE.com", "carol@example.com", "free@example.com")
    answers = [await ask(ada, email) for email in emails]

    assert {(one.status_code, one.content) for one in answers} == {(202, answers[0].content)}
    found = sorted((mail.message, mail.to, mail.user_id) for mail in await mails(limen))
    assert found == [
        ("already_there", "Bob@example.com", bob.user_id),
        ("email_change", "free@example.com", ada.user_id),
    ]


async def test_somebody_who_registers_the_address_meanwhile_has_it(
    limen: Limen, ada: Person
) -> None:
    mail = await mailed(limen, ada)
    bob = await limen.features.accounts.create("ADA@new.example.com", PASSWORD)

    for code in (mail.token, mail.digits):
        assert await confirm(ada.http, ada.bearer(), code=code) == (400, "invalid_code")
    found = {row.user_id: row.email for row in await rows(limen, accounts)}
    assert found == {ada.user_id: "ada@example.com", bob.user_id: "ADA@new.example.com"}
    assert (await ada.me()).status_code == 200, "nothing was voided"


async def test_two_who_change_to_one_address_at_once_end_in_one_change(
    limen: Limen, ada: Person
) -> None:
    bob = await somebody(limen, ada.http, "bob@example.com")
    codes = []
    for person in (ada, bob):
        await ask(person)
        found = await mails(limen, NEW)
        codes.append(next(mail.token for mail in found if mail.user_id == person.user_id))
    outcomes = await asyncio.gather(
        confirm(ada.http, ada.bearer(), code=codes[0]),
        confirm(bob.http, bob.bearer(), code=codes[1]),
    )

    assert sorted(outcomes) == [(204, ""), (400, "invalid_code")]
    assert [row.email for row in await rows(limen, accounts)].count(NEW) == 1


async def test_fifty_at_once_change_it_once(limen: Limen, wire: httpx2.AsyncClient) -> None:
    ada = await somebody(limen, wire)
    mail = await mailed(limen, ada)
    outcomes = await asyncio.gather(
        *(confirm(wire, ada.bearer(), code=mail.token) for _ in range(50))
    )

    assert outcomes.count((204, "")) == 1
    assert {status for status, _ in outcomes} <= {204, 400, 401, 429}
    assert len(await mails(limen, "ada@example.com")) == 1


async def test_the_spelling_of_ones_own_address_can_be_changed(limen: Limen, ada: Person) -> None:
    mail = await mailed(limen, ada, "Ada@example.com")
    assert await confirm(ada.http, ada.bearer(), code=mail.token) == (204, "")

    (account,) = await rows(limen, accounts)
    assert (account.email, account.email_key) == ("Ada@example.com", "ada@example.com")


async def test_a_code_is_for_the_address_it_was_sent_to_and_the_newest_counts(
    limen: Limen, ada: Person
) -> None:
    first = await mailed(limen, ada, "first@example.com")
    second = await mailed(limen, ada, "second@example.com")

    assert await confirm(ada.http, ada.bearer(), code=first.token) == (400, "invalid_code")
    assert await confirm(ada.http, ada.bearer(), code=second.token) == (204, "")
    (account,) = await rows(limen, accounts)
    assert account.email == "second@example.com"


async def test_a_change_voids_every_other_code_of_the_account(limen: Limen, ada: Person) -> None:
    await ada.http.post(f"{AUTH}/email/verify", headers=ada.bearer())
    verify = await last_mail(limen, ada.email)
    mail = await mailed(limen, ada)
    await confirm(ada.http, ada.bearer(), code=mail.token)
    await ada.refresh()

    answer = await ada.http.post(
        f"{AUTH}/email/verify/confirm", json={"code": verify.token}, headers=ada.bearer()
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_code")


async def test_a_password_that_was_changed_meanwhile_voids_the_request_and_the_code(
    limen: Limen, ada: Person
) -> None:
    mail = await mailed(limen, ada)
    await limen.features.accounts.set_password(ada.user_id, "quite another password")
    ada.password = "quite another password"
    await ada.sign_in()

    assert await confirm(ada.http, ada.bearer(), code=mail.token) == (400, "invalid_code")


async def test_what_was_asked_before_the_account_was_changed_sends_nothing(
    limen: Limen, ada: Person
) -> None:
    asked = {"user_id": ada.user_id, "cv": 1, "email": NEW, "email_key": "ada@new.example.com"}
    await limen.features.accounts.end_sessions(ada.user_id)
    await limen.features.email_change._answer(asked)
    await limen.features.accounts.delete(ada.user_id)
    await limen.features.email_change._answer(asked)

    assert await mails(limen) == []


async def test_wrong_digits_are_limited(limen: Limen, ada: Person) -> None:
    mail = await mailed(limen, ada)
    for _ in range(5):
        status = await confirm(ada.http, ada.bearer(), code=wrong(mail.digits))
        assert status == (400, "invalid_code")

    assert await confirm(ada.http, ada.bearer(), code=mail.digits) == (429, "too_many_attempts")


async def test_a_mailbox_is_not_flooded_with_changes(limen: Limen, ada: Person) -> None:
    for _ in range(5):
        assert (await ask(ada)).status_code == 202
    refused = await ask(ada)

    assert (refused.status_code, refused.json()["violated-policies"]) == (429, ["mail"])
    async with calling_from(limen, "198.51.100.9") as elsewhere:
        again = Person(elsewhere, ada.email, ada.user_id, tokens=ada.tokens)
        assert (await ask(again)).status_code == 429
    assert (await ask(ada, "other@example.com")).status_code == 202
    assert len(await mails(limen, NEW)) == 5
