"""POST /register, as a client sees it."""

import asyncio
import json
import random
from pathlib import Path

import httpx2
import pytest

from limen.database.schema import accounts, rate_limits
from limen.events import Event
from limen.limen import Limen
from limen.settings import Limit, Settings
from tests.crowds import full, hashes
from tests.mailbox import answered, written
from tests.people import AUTH, PASSWORD, attempt, calling_from
from tests.stored import rows
from tests.strangers import with_mail
from tests.structured_fields import Member, parse

pytestmark = pytest.mark.anyio

REGISTER = f"{AUTH}/register"


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        signing_algorithm="ES256",
        register_address_limit=Limit(100, 60),
    )


async def register(
    client: httpx2.AsyncClient, email: str = "ada@example.com", password: str = PASSWORD
) -> httpx2.Response:
    return await client.post(REGISTER, json={"email": email, "password": password})


async def test_who_registers_can_sign_in(limen: Limen, http: httpx2.AsyncClient) -> None:
    response = await register(http, "Ada@Example.com")

    assert response.status_code == 201
    (account,) = await rows(limen, accounts)
    assert response.json() == {"user_id": account.user_id, "email": "Ada@example.com"}
    assert response.headers["cache-control"] == "no-store"
    assert account.scope == ""
    assert (await attempt(http, "ada@example.com")).status_code == 200


async def test_the_password_is_stored_as_a_hash(limen: Limen, http: httpx2.AsyncClient) -> None:
    await register(http)

    (account,) = await rows(limen, accounts)
    assert account.password_hash.startswith("$argon2id$")
    assert PASSWORD not in str(account)


@pytest.mark.parametrize("spelling", ["ada@example.com", "ADA@EXAMPLE.COM", " ａｄａ@example.com"])
async def test_a_taken_address_is_refused_in_every_spelling(
    limen: Limen, http: httpx2.AsyncClient, spelling: str
) -> None:
    await register(http)
    before = await rows(limen, accounts)

    response = await register(http, spelling, "quite another password")

    assert (response.status_code, response.json()["code"]) == (409, "email_taken")
    assert await rows(limen, accounts) == before


async def test_a_hundred_simultaneous_registrations_of_one_address_make_one_account(
    limen: Limen, wire: httpx2.AsyncClient
) -> None:
    """R10: duplicate accounts by a race, or by another spelling."""
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed: {seed}")
    chance = random.Random(seed)
    spellings = [
        "".join(chance.choice((mark.upper(), mark.lower())) for mark in "ada.lovelace@example.com")
        for _ in range(60)
    ] + ["ａｄａ.lovelace@example.com", " ada.lovelace@example.com "] * 20

    async def until_decided(spelling: str) -> httpx2.Response:
        """Register as a client does that is told to come again (503)."""
        while True:
            response = await register(wire, spelling)
            if response.status_code != 503:
                return response

    responses = await asyncio.gather(*map(until_decided, spellings))

    statuses = [response.status_code for response in responses]
    print(f"registrations: {statuses.count(201)} made, {statuses.count(409)} refused")
    assert (statuses.count(201), statuses.count(409)) == (1, 99)
    (account,) = await rows(limen, accounts)
    made = next(response for response in responses if response.status_code == 201)
    assert made.json()["user_id"] == account.user_id


EXTRA = {
    "is_admin": True,
    "id": "0" * 32,
    "user_id": "0" * 32,
    "scope": "admin",
    "cv": 99,
    "password_hash": "$argon2id$",
    "disabled_at": None,
    "created_at": 0,
    "email_key": "bob@example.com",
    "__proto__": {"scope": "admin"},
    "Email": "bob@example.com",
    "": "",
}


@pytest.mark.parametrize(("member", "value"), EXTRA.items(), ids=repr)
async def test_nobody_sets_what_is_not_his_to_set(
    limen: Limen,
    http: httpx2.AsyncClient,
    happened: list[Event],
    member: str,
    value: object,
) -> None:
    """R8: mass assignment."""
    happened.clear()
    body = {"email": "ada@example.com", "password": PASSWORD, member: value}
    response = await http.post(REGISTER, json=body)

    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert await rows(limen, accounts) == []
    assert await rows(limen, rate_limits) == []
    assert happened == []


async def test_what_the_query_says_is_not_looked_at(limen: Limen, http: httpx2.AsyncClient) -> None:
    body = {"email": "ada@example.com", "password": PASSWORD}
    response = await http.post(f"{REGISTER}?scope=admin&user_id=1", json=body)

    assert response.status_code == 201
    (account,) = await rows(limen, accounts)
    assert (account.scope, len(account.user_id)) == ("", 32)


REFUSED = {
    "no address": ("nobody", PASSWORD, "invalid_request"),
    "full-width @": ("ada＠example.com", PASSWORD, "invalid_request"),
    "two @": ("a@b@example.com", PASSWORD, "invalid_request"),
    "a display name": ("Ada <ada@example.com>", PASSWORD, "invalid_request"),
    "a line break": ("ada@example.com\r\nBcc: eve@example.com", PASSWORD, "invalid_request"),
    "a long address": ("a" * 321 + "@example.com", PASSWORD, "invalid_request"),
    "empty": ("ada@example.com", "", "password_refused"),
    "short": ("ada@example.com", "s3cr3t!", "password_refused"),
    "common": ("ada@example.com", "password123", "password_refused"),
    "the address": ("ada@example.com", "ada@example.com", "password_refused"),
    "the service": ("ada@example.com", "limen limen", "password_refused"),
    "long": ("ada@example.com", "x" * 257, "invalid_request"),
    "NUL": ("ada@example.com", "correct\0horse", "invalid_request"),
}


@pytest.mark.parametrize(("email", "password", "code"), REFUSED.values(), ids=REFUSED)
async def test_what_is_not_acceptable_says_which_member_and_never_repeats_it(
    limen: Limen, http: httpx2.AsyncClient, email: str, password: str, code: str
) -> None:
    response = await register(http, email, password)

    assert response.status_code == 422
    problem = response.json()
    assert problem["code"] == code
    assert problem["field"] == ("email" if password == PASSWORD else "password")
    assert email not in response.text
    assert not password or password not in response.text
    assert await rows(limen, accounts) == []


async def test_a_lone_surrogate_is_no_text(limen: Limen, http: httpx2.AsyncClient) -> None:
    body = json.dumps({"email": "ada@example.com", "password": "correct \ud800 horse"})
    response = await http.post(REGISTER, content=body, headers={"Content-Type": "application/json"})

    assert response.status_code == 422
    assert await rows(limen, accounts) == []


async def test_a_form_is_no_way_to_register(limen: Limen, http: httpx2.AsyncClient) -> None:
    """A form can be sent by any other site without asking."""
    response = await http.post(REGISTER, data={"email": "ada@example.com", "password": PASSWORD})

    assert response.status_code == 422
    assert await rows(limen, accounts) == []


async def test_the_limit_of_an_address_is_told(limen: Limen, happened: list[Event]) -> None:
    async with calling_from(limen, "203.0.113.7") as client:
        for number in range(100):
            await register(client, "taken@example.com" if number else "new@example.com")
        happened.clear()
        refused = await register(client, "last@example.com")

    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_attempts")
    wait = int(refused.headers["retry-after"])
    assert parse(refused.headers["ratelimit"]) == [Member("register-address", {"r": 0, "t": wait})]
    assert parse(refused.headers["ratelimit-policy"]) == [
        Member("register-address", {"q": 100, "w": 60})
    ]
    assert hashes(happened) == 0
    async with calling_from(limen, "203.0.113.8") as neighbour:
        assert (await register(neighbour, "last@example.com")).status_code == 201


async def test_registering_and_signing_in_are_counted_apart(stranger: httpx2.AsyncClient) -> None:
    for _ in range(101):
        await register(stranger)

    assert (await attempt(stranger, "ada@example.com")).status_code == 200


async def test_a_full_hashing_room_is_503(limen: Limen, http: httpx2.AsyncClient) -> None:
    async with full(limen.features.room):
        response = await register(http)

    assert (response.status_code, response.json()["code"]) == (503, "busy")
    assert int(response.headers["retry-after"]) >= 1


class TestClosed:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return Settings(
            data_dir=tmp_path / "data", signing_algorithm="ES256", registration="closed"
        )

    async def test_where_registration_is_closed_nobody_registers(
        self, limen: Limen, http: httpx2.AsyncClient
    ) -> None:
        """And nobody learns which addresses are taken."""
        await limen.features.accounts.create("ada@example.com", PASSWORD)
        answers = [await register(http, email) for email in ("ada@example.com", "new@example.com")]

        assert [one.status_code for one in answers] == [403, 403]
        assert answers[0].content == answers[1].content
        assert len(await rows(limen, accounts)) == 1


class TestByInvitation:
    @pytest.fixture
    def settings(self, tmp_path: Path, database_url: str) -> Settings:
        return Settings(
            data_dir=tmp_path / "data",
            database_url=database_url,
            signing_algorithm="ES256",
            registration="invite",
        )

    async def test_without_an_invitation_nobody_registers(
        self, limen: Limen, http: httpx2.AsyncClient
    ) -> None:
        await limen.features.invitations.invite("ada@example.com")
        answers = [await register(http, email) for email in ("ada@example.com", "new@example.com")]

        assert [one.status_code for one in answers] == [403, 403]
        assert answers[0].json()["code"] == "invitation_required"
        assert answers[0].content == answers[1].content

    @pytest.mark.parametrize("form", ["token", "digits"])
    async def test_whoever_was_invited_does_and_has_what_he_was_given(
        self, limen: Limen, http: httpx2.AsyncClient, form: str
    ) -> None:
        invited = await limen.features.invitations.invite("ada@example.com", scope="billing")
        code = invited.code.token if form == "token" else invited.code.digits
        body = {"email": "Ada@Example.com", "password": PASSWORD, "invitation": code}
        answer = await http.post(REGISTER, json=body)

        assert answer.status_code == 201
        account = {"user_id": invited.account.user_id, "email": "ada@example.com"}
        assert answer.json() == account
        signed_in = await attempt(http, "ada@example.com")
        bearer = {"Authorization": f"Bearer {signed_in.json()['access_token']}"}
        me = (await http.get(f"{AUTH}/me", headers=bearer)).json()
        assert (me["scope"], me["email_verified"]) == ("billing", True)
        again = await http.post(REGISTER, json=body)
        assert (again.status_code, again.json()["code"]) == (400, "invalid_code")

    async def test_a_wrong_one_is_refused_alike_for_every_address(
        self, limen: Limen, http: httpx2.AsyncClient
    ) -> None:
        """Nobody learns who was invited, or who has an account."""
        await limen.features.accounts.create("taken@example.com", PASSWORD)
        invited = await limen.features.invitations.invite("invited@example.com")
        answers = []
        for name in ("taken", "invited", "free"):
            for code in ("x" * 22, "999999" if invited.code.digits != "999999" else "000000"):
                body = {"email": f"{name}@example.com", "password": PASSWORD, "invitation": code}
                answers.append(await http.post(REGISTER, json=body))

        assert {(one.status_code, one.content) for one in answers} == {(400, answers[0].content)}
        assert answers[0].json()["code"] == "invalid_code"


class TestByMail:
    @pytest.fixture
    def settings(self, tmp_path: Path, database_url: str) -> Settings:
        return with_mail(tmp_path, database_url)

    async def test_every_address_is_answered_alike_and_can_sign_in_a_moment_later(
        self, limen: Limen, http: httpx2.AsyncClient
    ) -> None:
        answers = [await register(http, "ada@example.com") for _ in range(2)]

        assert [one.status_code for one in answers] == [202, 202]
        assert answers[0].json()["status"] == "accepted"
        assert answers[0].content == answers[1].content
        await answered(limen)
        assert (await attempt(http, "ada@example.com")).status_code == 200
        assert len(await rows(limen, accounts)) == 1

    @pytest.mark.parametrize(("email", "password", "code"), REFUSED.values(), ids=REFUSED)
    async def test_what_is_not_acceptable_is_told_at_once(
        self, limen: Limen, http: httpx2.AsyncClient, email: str, password: str, code: str
    ) -> None:
        response = await register(http, email, password)

        assert (response.status_code, response.json()["code"]) == (422, code)
        assert await written(limen, "request") == []

    async def test_the_limit_of_a_mailbox_is_told(self, http: httpx2.AsyncClient) -> None:
        for _ in range(5):
            assert (await register(http)).status_code == 202
        refused = await register(http, "ADA@example.com")

        assert refused.json()["violated-policies"] == ["mail"]
        wait = int(refused.headers["retry-after"])
        assert parse(refused.headers["ratelimit"]) == [Member("mail", {"r": 0, "t": wait})]
        assert parse(refused.headers["ratelimit-policy"]) == [Member("mail", {"q": 5, "w": 3600})]

    async def test_a_full_hashing_room_is_503_and_writes_nothing_down(
        self, limen: Limen, http: httpx2.AsyncClient
    ) -> None:
        async with full(limen.features.room):
            response = await register(http)

        assert (response.status_code, response.json()["code"]) == (503, "busy")
        assert await written(limen, "request") == []

    async def test_an_invitation_is_accepted_at_once(
        self, limen: Limen, http: httpx2.AsyncClient
    ) -> None:
        """It proves the mailbox, so there is nothing to hide from its owner."""
        invited = await limen.features.invitations.invite("ada@example.com")
        body = {"email": "ada@example.com", "password": PASSWORD}
        answer = await http.post(REGISTER, json={**body, "invitation": invited.code.token})

        assert answer.status_code == 201
