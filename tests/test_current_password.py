"""The current password, asked for once more: no better place to guess than signing in."""

import pytest

from limen.clients import Client
from limen.errors import AccountNotFound, Busy, TooManyAttempts, WrongPassword
from limen.events import Event, SignIn
from limen.limen import Limen
from tests.crowds import full
from tests.people import PASSWORD, Person
from tests.stored import slots_taken

pytestmark = pytest.mark.anyio

ELSEWHERE = Client("198.51.100.7")


async def require(limen: Limen, person: Person, password: str = PASSWORD) -> str:
    account = await limen.features.current_password.require(person.user_id, password, ELSEWHERE)
    return account.user_id


async def test_the_right_one_costs_no_slot_and_starts_no_session(
    limen: Limen, ada: Person, happened: list[Event]
) -> None:
    happened.clear()

    assert await require(limen, ada) == ada.user_id
    assert set((await slots_taken(limen)).values()) == {0}
    assert not any(isinstance(event, SignIn) for event in happened)


@pytest.mark.parametrize("password", ["", "not the password", "x" * 5000, "nul\0"])
async def test_a_wrong_one_counts_as_a_failed_sign_in(
    limen: Limen, ada: Person, happened: list[Event], password: str
) -> None:
    with pytest.raises(WrongPassword):
        await require(limen, ada, password)

    taken = await slots_taken(limen)
    assert (taken["login"], taken["login-address"]) == (1, 1)
    assert happened[-1] == SignIn("invalid_credentials", ada.user_id)


async def test_after_five_wrong_ones_the_right_one_is_not_looked_at(
    limen: Limen, ada: Person
) -> None:
    for _ in range(5):
        with pytest.raises(WrongPassword):
            await require(limen, ada, "not the password")

    with pytest.raises(TooManyAttempts):
        await require(limen, ada)


async def test_a_disabled_account_has_no_right_one(limen: Limen, ada: Person) -> None:
    await limen.features.accounts.disable(ada.user_id)

    with pytest.raises(WrongPassword):
        await require(limen, ada)


async def test_an_account_that_has_gone_is_not_found(limen: Limen, ada: Person) -> None:
    await limen.features.accounts.delete(ada.user_id)

    with pytest.raises(AccountNotFound):
        await require(limen, ada)


async def test_a_full_hashing_room_is_told_and_counts_nothing(limen: Limen, ada: Person) -> None:
    async with full(limen.features.room):
        with pytest.raises(Busy):
            await require(limen, ada)

    assert (await slots_taken(limen)).get("login", 0) == 0
