"""Codes by mail: sent with the change that causes them, and taken back within exact limits."""

import asyncio

import pytest

from limen.accounts import Account
from limen.codes import Redeemed
from limen.database.schema import codes as table
from limen.database.schema import outbox
from limen.errors import InvalidCode, InvalidRequest, TooManyAttempts
from limen.events import CodeIssued, CodeRefused, Event
from limen.limen import Limen
from limen.mailed_codes import MailedCodes
from tests.clock import ManualClock
from tests.mailbox import Mailed, last_mail
from tests.people import PASSWORD
from tests.stored import rows, slots_taken
from tests.test_codes import wrong
from tests.test_costs import counted

pytestmark = pytest.mark.anyio

HERE = "203.0.113.7"


@pytest.fixture
def codes(limen: Limen) -> MailedCodes:
    return limen.features.mailed_codes


@pytest.fixture
async def account(limen: Limen) -> Account:
    return await limen.features.accounts.create("ada@example.com", PASSWORD)


async def sent(limen: Limen, account: Account) -> Mailed:
    async with limen.features.log.change() as change:
        await limen.features.mailed_codes.send(
            change, "verify", user_id=account.user_id, cv=account.cv, to=account.address
        )
    return await last_mail(limen, account.email)


async def present(
    limen: Limen, code: str, email_key: str | None = None, address: str = HERE
) -> Redeemed:
    codes = limen.features.mailed_codes
    async with (
        codes.presented("verify", code, address=address, email_key=email_key) as presented,
        limen.features.log.change() as change,
    ):
        return await presented.redeem(change)


async def test_a_code_goes_to_the_stored_address_and_is_recorded(
    limen: Limen, account: Account, happened: list[Event]
) -> None:
    mail = await sent(limen, account)

    assert (mail.message, mail.to, mail.user_id) == ("verify", account.email, account.user_id)
    assert CodeIssued(account.user_id, "verify") in happened


async def test_a_change_that_fails_sends_nothing(limen: Limen, account: Account) -> None:
    with pytest.raises(InvalidCode):
        await _sent_and_failed(limen, account)

    assert await rows(limen, table) == []
    assert await rows(limen, outbox) == []


async def _sent_and_failed(limen: Limen, account: Account) -> None:
    async with limen.features.log.change() as change:
        await limen.features.mailed_codes.send(
            change, "verify", user_id=account.user_id, cv=1, to=account.address
        )
        raise InvalidCode


@pytest.mark.parametrize("form", ["token", "digits"])
@pytest.mark.parametrize("is_named", [True, False], ids=["named", "not named"])
async def test_a_good_code_is_redeemed_and_costs_no_slot(
    limen: Limen, account: Account, form: str, *, is_named: bool
) -> None:
    mail = await sent(limen, account)
    code = mail.token if form == "token" else mail.digits
    if form == "digits" and not is_named:
        with pytest.raises(InvalidRequest):
            await present(limen, code)
    else:
        redeemed = await present(limen, code, account.email_key if is_named else None)
        assert redeemed.user_id == account.user_id
    assert set((await slots_taken(limen)).values()) <= {0}


async def test_a_code_of_another_account_than_the_named_one_is_refused_and_stays(
    limen: Limen, account: Account
) -> None:
    bob = await limen.features.accounts.create("bob@example.com", PASSWORD)
    mail = await sent(limen, account)
    for email_key in (bob.email_key, "nobody@example.com"):
        with pytest.raises(InvalidCode):
            await present(limen, mail.token, email_key)

    assert (await present(limen, mail.token, account.email_key)).user_id == account.user_id


@pytest.mark.parametrize("email_key", ["ada@example.com", "nobody@example.com"])
async def test_five_wrong_codes_for_an_account_and_a_sixth_is_not_looked_at(
    limen: Limen, account: Account, clock: ManualClock, happened: list[Event], email_key: str
) -> None:
    mail = await sent(limen, account)
    happened.clear()
    for _ in range(5):
        with pytest.raises(InvalidCode):
            await present(limen, wrong(mail.digits), email_key)
    user_id = account.user_id if email_key == account.email_key else None
    assert [one for one in happened if isinstance(one, CodeRefused)] == [
        CodeRefused("verify", user_id)
    ] * 5

    with pytest.raises(TooManyAttempts) as refused:
        await present(limen, mail.digits, email_key, "203.0.113.8")
    assert (refused.value.policy, refused.value.retry_after) == ("code", 900)
    clock.tick(900)
    with pytest.raises(InvalidCode):
        await present(limen, wrong(mail.digits), email_key)


async def test_a_newer_code_brings_no_further_guesses_within_the_limit(
    limen: Limen, account: Account
) -> None:
    for _ in range(5):
        mail = await sent(limen, account)
        with pytest.raises(InvalidCode):
            await present(limen, wrong(mail.digits), account.email_key)

    with pytest.raises(TooManyAttempts):
        await present(limen, (await sent(limen, account)).digits, account.email_key)


async def test_wrong_links_are_counted_by_the_address_they_come_from(limen: Limen) -> None:
    for number in range(50):
        with pytest.raises(InvalidCode):
            await present(limen, f"{number:022d}")

    with pytest.raises(TooManyAttempts) as refused:
        await present(limen, "x" * 22)
    assert refused.value.policy == "code-address"
    with pytest.raises(InvalidCode):
        await present(limen, "x" * 22, address="203.0.113.8")


async def test_a_hundred_guesses_at_once_are_five(limen: Limen, account: Account) -> None:
    mail = await sent(limen, account)
    guesses = [f"{number:06d}" for number in range(100) if f"{number:06d}" != mail.digits]
    outcomes = await asyncio.gather(
        *(
            present(limen, guess, account.email_key, f"198.51.100.{place}")
            for place, guess in enumerate(guesses)
        ),
        return_exceptions=True,
    )

    assert sum(isinstance(outcome, InvalidCode) for outcome in outcomes) == 5
    assert sum(isinstance(outcome, TooManyAttempts) for outcome in outcomes) == len(guesses) - 5


@pytest.mark.parametrize("form", ["token", "digits"])
async def test_fifty_at_once_present_a_code_and_one_is_let_in(
    limen: Limen, account: Account, form: str
) -> None:
    mail = await sent(limen, account)
    code = mail.token if form == "token" else mail.digits
    email_key = account.email_key if form == "digits" else None
    outcomes = await asyncio.gather(
        *(present(limen, code, email_key, f"198.51.100.{place}") for place in range(50)),
        return_exceptions=True,
    )

    assert sum(isinstance(outcome, Redeemed) for outcome in outcomes) == 1
    assert all(isinstance(one, Redeemed | InvalidCode | TooManyAttempts) for one in outcomes)


async def test_unknown_accounts_and_those_without_a_code_cost_the_same_statements(
    limen: Limen, account: Account
) -> None:
    """Or else the time that wrong digits take would tell who has an account."""
    bob = await limen.features.accounts.create("bob@example.com", PASSWORD)
    mail = await sent(limen, account)
    costs: list[tuple[list[str], int]] = []
    for email_key in (account.email_key, bob.email_key, "nobody@example.com"):
        with counted() as cost, pytest.raises(InvalidCode):
            await present(limen, wrong(mail.digits), email_key, f"198.51.100.{len(costs)}")
        costs.append((cost.statements, cost.commits))

    assert costs[0] == costs[1] == costs[2]


async def test_what_was_presented_is_not_in_a_representation(
    limen: Limen, codes: MailedCodes, account: Account
) -> None:
    mail = await sent(limen, account)
    async with codes.presented("verify", mail.token, address=HERE) as presented:
        assert mail.token not in repr(presented)
