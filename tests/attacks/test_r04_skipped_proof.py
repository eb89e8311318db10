"""R4, Keycloak CVE-2026-18963: a reset could be finished without the code from the mail.

A note of an earlier step was enough, whoever had taken that step. Here a reset has no steps that
could be noted: the code comes with the new password, and says itself whose password that is. So
passwords change in two ways only: with the current one, or with a code to reset it, of its account.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from limen.accounts import Account
from limen.clients import Client
from limen.database.schema import codes
from limen.errors import InvalidCode, InvalidRequest, WrongPassword
from limen.events import Purpose
from limen.limen import Limen
from limen.stored_hashes import matches
from tests.clock import ManualClock
from tests.mailbox import Mailed, last_mail
from tests.people import AUTH, PASSWORD, Person, forgot, has_failed, reset, somebody
from tests.stored import rows
from tests.test_codes import issued

pytestmark = pytest.mark.anyio

THERE = Client("198.51.100.7")
NEW = "quite another staple battery"
OTHER_PURPOSES: list[Purpose] = ["verify", "email_change", "invite"]

# Given Ada, who has asked for a code, and her mail: what stands in the place of the code.
Instead = Callable[[Limen, Person, Mailed], Awaitable[str]]


async def digest_of(limen: Limen, _ada: Person, _mail: Mailed) -> str:
    return str((await rows(limen, codes))[0].token_hash)


async def digest_of_digits(limen: Limen, _ada: Person, _mail: Mailed) -> str:
    return str((await rows(limen, codes))[0].digits_hash)


def constant(code: str) -> Instead:
    async def instead(_limen: Limen, _ada: Person, _mail: Mailed) -> str:
        return code

    return instead


def altered(alter: Callable[[str], str]) -> Instead:
    async def instead(_limen: Limen, _ada: Person, mail: Mailed) -> str:
        return alter(mail.token)

    return instead


async def sid(_limen: Limen, ada: Person, _mail: Mailed) -> str:
    return await ada.sid()


async def user_id(_limen: Limen, ada: Person, _mail: Mailed) -> str:
    return ada.user_id


async def access_token(_limen: Limen, ada: Person, _mail: Mailed) -> str:
    return str(ada.tokens["access_token"])


async def device_token(_limen: Limen, ada: Person, _mail: Mailed) -> str:
    return ada.http.cookies["limen_device"]


INSTEAD: dict[str, Instead] = {
    "nothing": constant(""),
    "white space": constant("      "),
    "null": constant("null00"),
    "zeros": constant("000000000000"),
    "as long as a token": constant("A" * 22),
    "the digest in the database": digest_of,
    "the digest of the digits": digest_of_digits,
    "the session": sid,
    "the user_id": user_id,
    "an access token": access_token,
    "a device token": device_token,
    "without its end": altered(lambda token: token[:-1]),
    "with something behind it": altered(lambda token: token + "A"),
    "with padding": altered(lambda token: token + "=="),
    "with white space": altered(lambda token: f" {token} "),
    "backwards": altered(lambda token: token[::-1] if token != token[::-1] else "A" * 22),
    "in other letters": altered(lambda token: token.swapcase()),
    "as a pattern": altered(lambda token: token[:-1] + "_"),
    "all of them": constant("%%%%%%%%%%%%%%%%%%%%%%"),
    "a condition": constant("' OR '1'='1"),
}


@pytest.fixture
async def mail(limen: Limen, ada: Person) -> Mailed:
    """What Ada was sent when she asked for a code."""
    await forgot(ada.http, ada.email)
    return await last_mail(limen, ada.email)


async def test_nothing_stands_in_the_place_of_a_code(
    limen: Limen, ada: Person, mail: Mailed, stranger: httpx2.AsyncClient, clock: ManualClock
) -> None:
    before = (await limen.features.accounts.get(ada.user_id)).password_hash
    for case, instead in INSTEAD.items():
        code = await instead(limen, ada, mail)
        for email in (None, ada.email):
            if code != mail.token:  # a token may end with _ by itself
                assert (await reset(stranger, code, NEW, email)).status_code in {400, 422}, case
        clock.tick(900)
        await ada.refresh()

    assert (await limen.features.accounts.get(ada.user_id)).password_hash == before
    await forgot(ada.http, ada.email)
    good = await last_mail(limen, ada.email)
    assert (await reset(stranger, good.token, NEW)).status_code == 204  # the same call with a code


BODIES: list[dict[str, Any]] = [
    {"password": NEW},
    {"code": None, "password": NEW},
    {"code": [], "password": NEW},
    {"code": True, "password": NEW},
    {"code": {"$ne": ""}, "password": NEW},
    {"email": "ada@example.com", "password": NEW},
    {"user_id": "0" * 32, "password": NEW},
]


@pytest.mark.usefixtures("mail")
async def test_no_other_form_of_the_call_sets_a_password(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    before = await limen.features.accounts.get(ada.user_id)
    for body in BODIES:
        answer = await stranger.post(f"{AUTH}/password/reset", json=body)
        assert answer.status_code == 422, body
        bearer = await stranger.post(f"{AUTH}/password/reset", json=body, headers=ada.bearer())
        assert bearer.status_code == 422, body
        changing = {name: value for name, value in body.items() if name != "code"}
        changing["new_password"] = changing.pop("password")
        for members in (changing, changing | {"current_password": None}):
            path = f"{AUTH}/password/change"
            answer = await ada.http.post(path, json=members, headers=ada.bearer())
            assert answer.status_code == 422, members

    assert await limen.features.accounts.get(ada.user_id) == before


@pytest.mark.parametrize("purpose", OTHER_PURPOSES)
async def test_a_code_for_something_else_resets_nothing(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient, purpose: Purpose
) -> None:
    account = await limen.features.accounts.get(ada.user_id)
    code = await issued(limen, account, purpose)

    assert (await reset(stranger, code.token, NEW)).status_code == 400
    assert (await reset(stranger, code.digits, NEW, ada.email)).status_code == 400
    assert await limen.features.accounts.get(ada.user_id) == account


async def test_a_code_is_good_once(ada: Person, mail: Mailed, stranger: httpx2.AsyncClient) -> None:
    assert (await reset(stranger, mail.token, NEW)).status_code == 204
    for code, email in ((mail.token, None), (mail.token, ada.email), (mail.digits, ada.email)):
        assert (await reset(stranger, code, PASSWORD, email)).status_code == 400


ADA, EVE = "ada@example.com", "eve@example.com"
who = st.sampled_from([ADA, EVE])
maybe = st.sampled_from([ADA, EVE, None])


@dataclass(frozen=True)
class Presenting:
    """A code of an account, in one of its forms, and the address that comes with it."""

    purpose: Purpose
    owner: str
    form: str
    email: str | None


@dataclass(frozen=True)
class Changing:
    """The session of an account, and whose password is typed: None for nobody's."""

    owner: str
    password_of: str | None


purposes = st.sampled_from(["reset", *OTHER_PURPOSES])
presenting = st.builds(Presenting, purposes, who, st.sampled_from(["token", "digits"]), maybe)
STEPS = st.lists(presenting | st.builds(Changing, who, maybe), min_size=1, max_size=4)


class Passwords:
    """What the passwords must be, and ways to present something that changes them or not."""

    def __init__(self, limen: Limen, people: dict[str, Person]) -> None:
        self.limen = limen
        self.people = people
        self.expected = {email: person.password for email, person in people.items()}
        self.count = 0

    async def take(self, step: Presenting | Changing) -> None:
        self.count += 1
        new = f"staple battery number {self.count}"
        if isinstance(step, Presenting):
            changed = await self.present(new, step)
        else:
            changed = await self.change(new, step)
        if changed:
            self.expected[step.owner] = new

    async def present(self, new: str, step: Presenting) -> bool:
        code = await issued(self.limen, await self.account(step.owner), step.purpose)
        named = [step.owner] if step.form == "digits" else [step.owner, None]
        try:
            await self.limen.features.password_reset.reset(
                getattr(code, step.form), new, THERE, email=step.email
            )
        except (InvalidCode, InvalidRequest):
            assert step.purpose != "reset" or step.email not in named
            return False
        assert step.purpose == "reset"
        assert step.email in named
        return True

    async def change(self, new: str, step: Changing) -> bool:
        current = self.expected[step.password_of] if step.password_of else "nobody's password"
        person = self.people[step.owner]
        person.password = self.expected[step.owner]
        assert (await person.sign_in()).status_code == 200
        by = await self.limen.verifier.verify(person.tokens["access_token"])
        try:
            await self.limen.features.password_change.change(by, current, new, THERE)
        except WrongPassword:
            assert current != person.password
            return False
        assert current == person.password
        return True

    async def account(self, email: str) -> Account:
        account = await self.limen.features.accounts.find(email)
        assert account is not None
        return account

    async def check(self) -> None:
        for email, password in self.expected.items():
            assert matches(password, (await self.account(email)).password_hash), email


@settings(
    max_examples=20,
    deadline=None,
    print_blob=True,
    phases=[Phase.generate],
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(steps=STEPS)
async def test_a_password_changes_with_the_current_one_or_with_a_code_to_reset_it_alone(
    limen: Limen, http: httpx2.AsyncClient, clock: ManualClock, steps: list[Presenting | Changing]
) -> None:
    people = {}
    for email in (ADA, EVE):
        if account := await limen.features.accounts.find(email):
            await limen.features.accounts.delete(account.user_id)
        people[email] = await somebody(limen, http, email)
    passwords = Passwords(limen, people)
    for step in steps:
        await passwords.take(step)
        await passwords.check()
        clock.tick(900)
        for person in people.values():
            await has_failed(limen, person.user_id, 0)
