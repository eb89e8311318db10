"""Codes: hard to guess, stored as digests, for one purpose of one account, and good once."""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from limen.accounts import Account
from limen.codes import MAX_TRIES, Code, Codes, Redeemed, is_digits
from limen.database.schema import codes as table
from limen.events import Purpose
from limen.limen import Limen
from tests.clock import ManualClock
from tests.people import PASSWORD
from tests.stored import everything, rows

pytestmark = pytest.mark.anyio

HOUR = 3600
OTHER_PURPOSES: list[Purpose] = ["reset", "email_change", "invite"]


@pytest.fixture
def codes(limen: Limen) -> Codes:
    return limen.features.codes


@pytest.fixture
async def account(limen: Limen) -> Account:
    return await limen.features.accounts.create("ada@example.com", PASSWORD)


async def issued(limen: Limen, account: Account, purpose: Purpose = "verify") -> Code:
    async with limen.features.database.write() as connection:
        return await limen.features.codes.issue(
            connection,
            purpose,
            user_id=account.user_id,
            cv=account.cv,
            email=account.address,
            lifetime=HOUR,
        )


async def by_token(limen: Limen, token: str, purpose: Purpose = "verify") -> Redeemed | None:
    async with limen.features.database.write() as connection:
        return await limen.features.codes.redeem_token(connection, purpose, token)


async def by_digits(
    limen: Limen, account: Account, digits: str, purpose: Purpose = "verify"
) -> Redeemed | None:
    """Try digits as one has to: the try is counted first."""
    if not await limen.features.codes.count_try(purpose, account.user_id):
        return None
    async with limen.features.database.write() as connection:
        return await limen.features.codes.redeem_digits(
            connection, purpose, account.user_id, digits
        )


def wrong(digits: str) -> str:
    """Return other digits."""
    return f"{(int(digits) + 1) % 1_000_000:06d}"


async def test_a_token_holds_128_random_bits_and_digits_are_six_of_all(
    limen: Limen, account: Account
) -> None:
    made = [await issued(limen, account) for _ in range(200)]

    assert all(re.fullmatch(r"[\w-]{22}", code.token) for code in made)
    assert all(is_digits(code.digits) and not is_digits(code.token) for code in made)
    assert len({code.token for code in made}) == 200
    assert len({code.digits for code in made}) > 190
    for place in range(6):  # also zeros in front: 200 throws miss one of ten in 1 of 10^8 tests
        assert len({code.digits[place] for code in made}) == 10
    for place in range(21):  # the last character holds two bits alone
        most = Counter(code.token[place] for code in made).most_common(1)[0][1]
        assert most < 20


@pytest.mark.parametrize(
    "code", ["12345", "1234567", "12345a", "１２３４５６", "123 456", "123456\n", "", "-12345"]
)
def test_nothing_else_passes_for_digits(code: str) -> None:
    assert not is_digits(code)


async def test_the_database_holds_digests_alone(limen: Limen, account: Account) -> None:
    code = await issued(limen, account)

    (row,) = await rows(limen, table)
    assert code.token not in str(row)
    assert code.digits not in (row.token_hash, row.digits_hash)
    assert code.token.encode() not in await everything(limen)
    assert len(row.digits_hash) == 43  # a MAC: plain digests of a million values are no secret
    assert code.token not in f"{code!r}"
    assert code.digits not in f"{code!r}"


async def test_equal_digits_of_two_accounts_are_stored_differently(
    codes: Codes, account: Account
) -> None:
    macs = {
        codes._mac(purpose, user_id, "123456")
        for purpose in ("verify", "reset")
        for user_id in (account.user_id, "0" * 32)
    }

    assert len(macs) == 4


@pytest.mark.parametrize("form", ["token", "digits"])
async def test_a_code_says_whose_mailbox_was_proved_and_at_which_version(
    limen: Limen, account: Account, form: str
) -> None:
    code = await issued(limen, account)
    redeemed = await (
        by_token(limen, code.token) if form == "token" else by_digits(limen, account, code.digits)
    )

    assert redeemed == Redeemed(account.user_id, 1, account.address)


@pytest.mark.parametrize("first", ["token", "digits"])
async def test_either_form_uses_up_both(limen: Limen, account: Account, first: str) -> None:
    code = await issued(limen, account)
    if first == "token":
        assert await by_token(limen, code.token)
    else:
        assert await by_digits(limen, account, code.digits)

    assert await by_token(limen, code.token) is None
    assert await by_digits(limen, account, code.digits) is None
    assert await rows(limen, table) == []


@pytest.mark.parametrize("purpose", OTHER_PURPOSES)
async def test_a_code_of_one_purpose_serves_no_other(
    limen: Limen, account: Account, purpose: Purpose
) -> None:
    code, other = await issued(limen, account), await issued(limen, account, purpose)

    assert await by_token(limen, code.token, purpose) is None
    assert await by_digits(limen, account, code.digits, purpose) is None or (
        code.digits == other.digits
    )
    assert await by_token(limen, code.token)


async def test_the_digits_of_one_account_open_no_other(limen: Limen, account: Account) -> None:
    bob = await limen.features.accounts.create("bob@example.com", PASSWORD)
    code, others = await issued(limen, account), await issued(limen, bob)

    if code.digits != others.digits:
        assert await by_digits(limen, bob, code.digits) is None
    assert await by_digits(limen, account, code.digits)


async def test_a_newer_code_is_the_death_of_the_older(limen: Limen, account: Account) -> None:
    older, newer = await issued(limen, account), await issued(limen, account)

    assert len(await rows(limen, table)) == 1
    assert await by_token(limen, older.token) is None
    if older.digits != newer.digits:
        assert await by_digits(limen, account, older.digits) is None
    assert await by_token(limen, newer.token)


async def test_a_code_is_good_until_its_lifetime_is_over(
    limen: Limen, account: Account, clock: ManualClock
) -> None:
    first = await issued(limen, account)
    clock.tick(HOUR - 0.001)
    assert await by_token(limen, first.token)

    second = await issued(limen, account)
    clock.tick(HOUR)
    assert await by_token(limen, second.token) is None
    assert await by_digits(limen, account, second.digits) is None


async def new_password(limen: Limen, account: Account) -> None:
    await limen.features.accounts.set_password(account.user_id, "quite another password")


async def disabled(limen: Limen, account: Account) -> None:
    await limen.features.accounts.disable(account.user_id)
    await limen.features.accounts.enable(account.user_id)


async def signed_out_everywhere(limen: Limen, account: Account) -> None:
    await limen.features.accounts.end_sessions(account.user_id)


async def new_address(limen: Limen, account: Account) -> None:
    values = {"email": "new@example.com", "email_key": "new@example.com"}
    await limen.features.accounts.change(account.user_id, "email_changed", **values)


async def deleted(limen: Limen, account: Account) -> None:
    await limen.features.accounts.delete(account.user_id)


@pytest.mark.parametrize(
    "change", [new_password, disabled, signed_out_everywhere, new_address, deleted]
)
async def test_what_voids_the_tokens_of_an_account_voids_its_codes(
    limen: Limen, account: Account, change: Callable[[Limen, Account], Awaitable[None]]
) -> None:
    made = {
        purpose: await issued(limen, account, purpose) for purpose in ("verify", *OTHER_PURPOSES)
    }
    await change(limen, account)

    for purpose, code in made.items():
        assert await by_token(limen, code.token, purpose) is None
        assert await by_digits(limen, account, code.digits, purpose) is None


async def test_signing_in_and_verifying_void_no_code(limen: Limen, account: Account) -> None:
    code = await issued(limen, account, "reset")
    await limen.features.accounts.change(account.user_id, "email_verified", verified_at=1)

    assert await by_token(limen, code.token, "reset")


async def test_five_wrong_digits_are_the_death_of_the_digits(
    limen: Limen, account: Account
) -> None:
    code = await issued(limen, account)
    for _ in range(MAX_TRIES):
        assert await by_digits(limen, account, wrong(code.digits)) is None

    assert await by_digits(limen, account, code.digits) is None
    assert await by_token(limen, code.token), "the token was not guessed at"


async def test_the_fifth_try_may_be_the_right_one(limen: Limen, account: Account) -> None:
    code = await issued(limen, account)
    for _ in range(MAX_TRIES - 1):
        await by_digits(limen, account, wrong(code.digits))

    assert await by_digits(limen, account, code.digits)


async def test_of_two_hundred_tries_at_once_five_are_compared(
    limen: Limen, twin: Limen, account: Account
) -> None:
    code = await issued(limen, account)
    counted = await asyncio.gather(
        *(one.features.codes.count_try("verify", account.user_id) for one in (limen, twin) * 100)
    )

    assert sum(counted) == MAX_TRIES
    assert await by_digits(limen, account, code.digits) is None


async def test_a_try_at_what_is_not_there_is_refused(limen: Limen, codes: Codes) -> None:
    assert not await codes.count_try("verify", "." * 32)
    assert await by_token(limen, "x" * 22) is None


@pytest.mark.parametrize("form", ["token", "digits"])
async def test_fifty_at_once_use_a_code_once(
    limen: Limen, twin: Limen, account: Account, form: str
) -> None:
    code = await issued(limen, account)

    async def use(one: Limen) -> Redeemed | None:
        async with one.features.database.write() as connection:
            if form == "token":
                return await one.features.codes.redeem_token(connection, "verify", code.token)
            return await one.features.codes.redeem_digits(
                connection, "verify", account.user_id, code.digits
            )

    redeemed = await asyncio.gather(*(use(one) for one in (limen, twin) * 25))

    assert sum(one is not None for one in redeemed) == 1


async def test_looking_whose_link_it_is_uses_nothing_up(
    limen: Limen, codes: Codes, account: Account, clock: ManualClock
) -> None:
    code = await issued(limen, account)

    assert await codes.owner("verify", code.token) == account.user_id
    assert await codes.owner("reset", code.token) is None
    assert await codes.owner("verify", "x" * 22) is None
    assert await by_token(limen, code.token)
    assert await codes.owner("verify", code.token) is None

    late = await issued(limen, account)
    clock.tick(HOUR)
    assert await codes.owner("verify", late.token) is None


async def test_what_is_rolled_back_has_used_nothing_up(limen: Limen, account: Account) -> None:
    code = await issued(limen, account)
    with suppress(RuntimeError):
        async with limen.features.database.write() as connection:
            assert await limen.features.codes.redeem_token(connection, "verify", code.token)
            raise RuntimeError

    assert await by_token(limen, code.token)
