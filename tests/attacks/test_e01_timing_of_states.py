"""E1, Django CVE-2016-2513, CVE-2024-39329 and CVE-2025-13473: time tells what the answer does not.

Accounts without a usable password, or in some other state, took another path, and were quicker or
slower than unknown ones. Here the work is counted, not timed: the same statements in the same
transactions, the same number of hashes, and one answer. `python -m tests.timing` times it.
"""

from collections.abc import Awaitable, Callable

import httpx2
import pytest

from limen.events import Event
from limen.limen import Limen
from limen.stored_hashes import NO_PASSWORD
from tests.crowds import hashes
from tests.mailbox import answered, last_mail
from tests.people import PASSWORD, calling_from, forgot, guess, has_failed, reset
from tests.test_codes import wrong
from tests.test_costs import counted
from tests.test_login import BCRYPT, seen
from tests.test_stored_hashes import pbkdf2

pytestmark = pytest.mark.anyio

EMAIL = "ada@example.com"

Change = Callable[[Limen, str], Awaitable[None]]


async def as_it_is(_limen: Limen, _user_id: str) -> None:
    pass


async def verified(limen: Limen, user_id: str) -> None:
    await limen.features.accounts.change(user_id, "email_verified", verified_at=1)


async def with_failures(limen: Limen, user_id: str) -> None:
    await has_failed(limen, user_id, 50)


async def locked(limen: Limen, user_id: str) -> None:
    await has_failed(limen, user_id, 100)


async def without_a_password(limen: Limen, user_id: str) -> None:
    await limen.features.accounts.change(user_id, "enabled", password_hash=NO_PASSWORD)


async def of_bcrypt(limen: Limen, user_id: str) -> None:
    await limen.features.accounts.change(user_id, "enabled", password_hash=BCRYPT)


async def of_pbkdf2(limen: Limen, user_id: str) -> None:
    await limen.features.accounts.change(user_id, "enabled", password_hash=pbkdf2(PASSWORD))


STATES: dict[str, Change] = {
    "unverified": as_it_is,
    "verified": verified,
    "disabled": lambda limen, user_id: limen.features.accounts.disable(user_id),
    "tried before": with_failures,
    "locked": locked,
    "reset required": lambda limen, user_id: limen.features.accounts.require_reset(user_id),
    "no usable password": without_a_password,
    "imported, bcrypt": of_bcrypt,
    "imported, PBKDF2": of_pbkdf2,
}


async def sign_in(http: httpx2.AsyncClient, email: str) -> httpx2.Response:
    return await guess(http, email)


async def try_digits(http: httpx2.AsyncClient, email: str) -> httpx2.Response:
    return await reset(http, "123456", "quite another staple battery", email)


async def try_a_link(http: httpx2.AsyncClient, email: str) -> httpx2.Response:
    return await reset(http, "A" * 22, "quite another staple battery", email)


CALLS = {"login": sign_in, "forgot": forgot, "digits": try_digits, "link": try_a_link}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_an_account_in_any_state_is_as_much_work_as_none(
    limen: Limen,
    happened: list[Event],
    call: Callable[[httpx2.AsyncClient, str], Awaitable[httpx2.Response]],
) -> None:
    emails = {"unknown": "nobody@example.com"}
    for number, (state, change) in enumerate(STATES.items()):
        emails[state] = f"user{number}@example.com"
        account = await limen.features.accounts.create(emails[state], PASSWORD)
        await change(limen, account.user_id)
    await answered(limen)
    answers, work = {}, {}
    for number, (state, email) in enumerate(emails.items()):
        happened.clear()
        async with calling_from(limen, f"198.51.100.{number}") as stranger:
            with counted() as cost:
                answers[state] = seen(await call(stranger, email))
        work[state] = (hashes(happened), cost.statements, cost.commits)
        await answered(limen)

    assert answers == dict.fromkeys(emails, answers["unknown"])
    assert work == dict.fromkeys(emails, work["unknown"])


async def test_an_account_with_a_living_code_is_as_much_work_as_one_without(
    limen: Limen, happened: list[Event]
) -> None:
    """Wrong digits, right digits too late: a stranger may have had the code made just before."""
    for email in (EMAIL, "eve@example.com"):
        await limen.features.accounts.create(email, PASSWORD)
    async with calling_from(limen, "198.51.100.99") as stranger:
        await forgot(stranger, EMAIL)
    digits = (await last_mail(limen, EMAIL)).digits
    work = {}
    for email in (EMAIL, "eve@example.com", "nobody@example.com"):
        happened.clear()
        async with calling_from(limen, "198.51.100.98") as stranger:
            with counted() as cost:
                await reset(stranger, wrong(digits), "quite another staple battery", email)
        work[email] = (hashes(happened), cost.statements, cost.commits)

    assert work == dict.fromkeys(work, work[EMAIL])
