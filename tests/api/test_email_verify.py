"""POST /email/verify and /email/verify/confirm, as a client sees them."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest

from limen.database.schema import accounts
from limen.limen import Limen
from limen.settings import Settings
from tests.clock import ManualClock
from tests.mailbox import Mailed, answered, last_mail, mails, written
from tests.people import AUTH, PASSWORD, Person, calling_from, guess, somebody
from tests.stored import row_counts, rows, slots_taken
from tests.test_codes import wrong

pytestmark = pytest.mark.anyio

VERIFY, CONFIRM = f"{AUTH}/email/verify", f"{AUTH}/email/verify/confirm"


async def mailed(limen: Limen, person: Person) -> Mailed:
    """Have a code mailed and return the mail."""
    answer = await person.http.post(VERIFY, headers=person.bearer())
    assert answer.status_code == 202
    return await last_mail(limen, person.email)


async def confirm(
    http: httpx2.AsyncClient, headers: dict[str, str] | None = None, **body: Any
) -> tuple[int, str]:
    answer = await http.post(CONFIRM, json=body, headers=headers or {})
    return answer.status_code, answer.json()["code"] if answer.content else ""


async def is_verified(person: Person) -> bool:
    verified: bool = (await person.me()).json()["email_verified"]
    return verified


@pytest.mark.parametrize("form", ["token", "digits"])
async def test_a_code_from_a_session_verifies_the_address_once(
    limen: Limen, ada: Person, form: str
) -> None:
    assert not await is_verified(ada)
    mail = await mailed(limen, ada)
    code = mail.token if form == "token" else mail.digits

    assert await confirm(ada.http, ada.bearer(), code=code) == (204, "")
    assert await is_verified(ada)
    assert await confirm(ada.http, ada.bearer(), code=code) == (400, "invalid_code")


async def test_a_link_and_the_password_verify_the_address(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    mail = await mailed(limen, ada)

    assert await confirm(stranger, code=mail.token, password=PASSWORD) == (204, "")
    assert await is_verified(ada)


async def test_six_digits_the_address_and_the_password_do_too(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    mail = await mailed(limen, ada)
    body: dict[str, Any] = {"code": mail.digits, "password": PASSWORD}

    assert await confirm(stranger, **body) == (422, "invalid_request")
    assert await confirm(stranger, **body, email="ADA@example.com") == (204, "")
    assert await is_verified(ada)


async def test_a_code_alone_verifies_nothing(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    mail = await mailed(limen, ada)

    assert await confirm(stranger, code=mail.token) == (401, "missing_token")
    assert await confirm(stranger, code=mail.digits, email=ada.email) == (401, "missing_token")
    assert not await is_verified(ada)


async def test_a_session_of_another_account_is_no_help(limen: Limen, ada: Person) -> None:
    bob = await somebody(limen, ada.http, "bob@example.com")
    mail = await mailed(limen, ada)

    for code in (mail.token, mail.digits):
        assert await confirm(bob.http, bob.bearer(), code=code) == (400, "invalid_code")
    assert not await is_verified(ada)
    assert not await is_verified(bob)
    assert await confirm(ada.http, ada.bearer(), code=mail.token) == (204, "")


async def test_a_bad_access_token_is_refused_like_at_any_door(limen: Limen, ada: Person) -> None:
    mail = await mailed(limen, ada)
    headers = {"Authorization": "Bearer garbage"}

    assert await confirm(ada.http, headers, code=mail.token) == (401, "invalid_token")
    assert await confirm(ada.http, headers, code=mail.token, password=PASSWORD) == (
        401,
        "invalid_token",
    )


async def test_a_wrong_password_counts_as_a_failed_sign_in_and_uses_nothing_up(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    mail = await mailed(limen, ada)
    body: dict[str, Any] = {"code": mail.digits, "email": ada.email, "password": "no"}
    for _ in range(5):
        assert await confirm(stranger, **body) == (401, "invalid_credentials")

    assert await confirm(stranger, **body | {"password": PASSWORD}) == (429, "too_many_attempts")
    assert (await guess(stranger, ada.email)).status_code == 429
    taken = await slots_taken(limen)
    assert (taken["login"], taken.get("code", 0)) == (5, 0)
    assert await confirm(ada.http, ada.bearer(), code=mail.digits) == (204, "")


async def test_wrong_codes_are_counted_and_their_limit_is_told(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    mail = await mailed(limen, ada)
    body: dict[str, Any] = {"code": wrong(mail.digits), "email": ada.email}
    body["password"] = PASSWORD
    for _ in range(5):
        assert await confirm(stranger, **body) == (400, "invalid_code")
    refused = await stranger.post(CONFIRM, json=body)

    assert (refused.status_code, refused.json()["violated-policies"]) == (429, ["code"])
    assert (await slots_taken(limen))["login"] == 0, "the password was right"
    assert not await is_verified(ada)


async def test_a_link_that_was_never_sent_is_refused_before_any_password(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    assert await confirm(stranger, code="x" * 22, password=PASSWORD) == (400, "invalid_code")
    taken = await slots_taken(limen)
    assert (taken["login"], taken["code-address"]) == (0, 1)
    assert not await is_verified(ada)


async def test_fifty_at_once_confirm_with_one_code_and_one_succeeds(
    limen: Limen, wire: httpx2.AsyncClient
) -> None:
    ada = await somebody(limen, wire)
    mail = await mailed(limen, ada)
    outcomes = await asyncio.gather(
        *(confirm(wire, ada.bearer(), code=mail.token) for _ in range(50))
    )

    assert outcomes.count((204, "")) == 1
    assert {status for status, _ in outcomes} <= {204, 400, 429}


async def test_looking_at_a_link_consumes_nothing(limen: Limen, ada: Person) -> None:
    """Mail scanners open every link, and some every address that they find."""
    mail = await mailed(limen, ada)
    before = await row_counts(limen)
    for method in ("GET", "HEAD", "OPTIONS"):
        for path in (f"/account#verify={mail.token}", f"{CONFIRM}?code={mail.token}", VERIFY):
            answer = await ada.http.request(method, path, headers=ada.bearer())
            assert answer.status_code in (200, 404, 405)

    assert await row_counts(limen) == before
    assert await confirm(ada.http, ada.bearer(), code=mail.token) == (204, "")


async def test_tokens_say_so_from_the_next_refresh_and_none_is_voided(
    limen: Limen, ada: Person
) -> None:
    async def claimed() -> bool:
        return (await limen.verifier.verify(ada.tokens["access_token"])).email_verified

    mail = await mailed(limen, ada)
    assert not await claimed()
    assert await confirm(ada.http, ada.bearer(), code=mail.token) == (204, "")
    assert (await ada.me()).status_code == 200

    assert not await claimed()
    assert (await ada.refresh()).status_code == 200
    assert await claimed()
    assert (await ada.sign_in()).status_code == 200
    assert await claimed()


@pytest.mark.parametrize("spelling", ["ada@example.com", " ADA@Example.COM ", "ａｄａ@example.com"])
async def test_whoever_types_the_address_has_a_code_sent_to_its_stored_form(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient, spelling: str
) -> None:
    answer = await stranger.post(VERIFY, json={"email": spelling})

    assert answer.status_code == 202
    (mail,) = await mails(limen)
    assert (mail.message, mail.to, mail.user_id) == ("verify", ada.email, ada.user_id)


async def test_a_newer_code_voids_the_older(limen: Limen, ada: Person) -> None:
    older, newer = await mailed(limen, ada), await mailed(limen, ada)

    assert await confirm(ada.http, ada.bearer(), code=older.token) == (400, "invalid_code")
    assert await confirm(ada.http, ada.bearer(), code=newer.token) == (204, "")


async def test_a_code_dies_with_its_lifetime(limen: Limen, ada: Person, clock: ManualClock) -> None:
    mail = await mailed(limen, ada)
    clock.tick(86400)
    await ada.sign_in()

    assert await confirm(ada.http, ada.bearer(), code=mail.token) == (400, "invalid_code")


async def test_nobody_else_than_an_unverified_account_is_sent_anything(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    limens = limen.features.accounts
    verified = await limens.create("verified@example.com", PASSWORD)
    await limens.change(verified.user_id, "email_verified", verified_at=1)
    disabled = await limens.create("disabled@example.com", PASSWORD)
    await limens.disable(disabled.user_id)
    await limen.features.invitations.invite("invited@example.com")
    before = len(await mails(limen))
    names = ("verified", "disabled", "invited", "nobody")
    addresses = [f"{name}@example.com" for name in names] + ["no address", "a@b@c", ""]

    answers = [await stranger.post(VERIFY, json={"email": one}) for one in addresses]

    assert {(one.status_code, one.content) for one in answers} == {(202, answers[0].content)}
    assert len(await mails(limen)) == before
    assert len(await written(limen, "request")) == len(addresses)
    assert not await is_verified(ada)


async def test_a_verified_account_that_asks_is_answered_and_sent_nothing(
    limen: Limen, ada: Person
) -> None:
    mail = await mailed(limen, ada)
    await confirm(ada.http, ada.bearer(), code=mail.token)
    before = len(await mails(limen))

    assert (await ada.http.post(VERIFY, headers=ada.bearer())).status_code == 202
    assert len(await mails(limen)) == before


async def test_without_an_address_and_without_a_token_there_is_nothing_to_do(
    stranger: httpx2.AsyncClient,
) -> None:
    answer = await stranger.post(VERIFY)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_a_mailbox_gets_five_mails_an_hour_whoever_asks(
    limen: Limen, ada: Person, clock: ManualClock
) -> None:
    for number in range(4):
        async with calling_from(limen, f"198.51.100.{number}") as client:
            assert (await client.post(VERIFY, json={"email": ada.email})).status_code == 202
    assert (await ada.http.post(VERIFY, headers=ada.bearer())).status_code == 202
    await answered(limen)

    async with calling_from(limen, "198.51.100.99") as client:
        refused = [
            await client.post(VERIFY, json={"email": ada.email}),
            await client.post(VERIFY, headers=ada.bearer()),
        ]
    assert [one.status_code for one in refused] == [429, 429]
    assert refused[0].json()["violated-policies"] == ["mail"]
    assert len(await mails(limen)) == 5
    clock.tick(3600)
    assert (await ada.http.post(VERIFY, json={"email": ada.email})).status_code == 202


async def test_an_address_may_cause_fifty_mails_an_hour(
    limen: Limen, stranger: httpx2.AsyncClient
) -> None:
    statuses = [
        (await stranger.post(VERIFY, json={"email": f"u{number}@example.com"})).status_code
        for number in range(51)
    ]

    assert statuses == [202] * 50 + [429]
    assert (await slots_taken(limen))["mail-address"] == 50


BODIES: list[dict[str, Any]] = [
    {},
    {"code": 123456},
    {"code": ["123456"]},
    {"code": "12345"},
    {"code": "x" * 65},
    {"code": "123456\0"},
    {"code": "123456", "password": 1},
    {"code": "123456", "user_id": "0" * 32},
    {"code": "123456", "verified_at": 1},
]


@pytest.mark.parametrize("body", BODIES, ids=repr)
async def test_a_body_of_another_form_is_refused_and_counted_nowhere(
    limen: Limen, ada: Person, body: dict[str, Any]
) -> None:
    before = await slots_taken(limen)
    assert await confirm(ada.http, ada.bearer(), **body) == (422, "invalid_request")
    assert await slots_taken(limen) == before


async def test_a_deleted_account_verifies_nothing(limen: Limen, ada: Person) -> None:
    mail = await mailed(limen, ada)
    await limen.features.accounts.delete(ada.user_id)

    assert await confirm(ada.http, code=mail.token, password=PASSWORD) == (400, "invalid_code")
    assert await rows(limen, accounts) == []


class TestSpecialDomains:
    @pytest.fixture
    def settings(self, tmp_path: Path, database_url: str) -> Settings:
        return Settings(
            data_dir=tmp_path / "data",
            database_url=database_url,
            signing_algorithm="ES256",
            special_email_domains=True,
        )

    async def test_an_address_on_this_machine_is_one_like_any_other(
        self, limen: Limen, http: httpx2.AsyncClient
    ) -> None:
        body = {"email": "Ada@localhost", "password": PASSWORD}
        assert (await http.post(f"{AUTH}/register", json=body)).status_code == 201
        assert (await http.post(VERIFY, json={"email": "ADA@LOCALHOST"})).status_code == 202
        assert (await http.post(f"{AUTH}/login", json=body)).status_code == 200
        mail = await last_mail(limen, "Ada@localhost")

        status = await confirm(http, code=mail.digits, email="ada@localhost", password=PASSWORD)
        assert status == (204, "")
        (account,) = await rows(limen, accounts)
        assert account.verified_at is not None
