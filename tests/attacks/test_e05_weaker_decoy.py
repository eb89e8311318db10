"""E5: what unknown accounts are checked against cost less, once the cost of hashes was raised.

A decoy is made with the cost of now, or with that of the accounts that it hides among; and what
stands in for the hash of a locked account costs exactly what that hash does.
"""

from dataclasses import replace

import pytest

from limen.limen import Limen
from limen.passwords import Passwords
from limen.settings import Argon2Cost
from limen.stored_hashes import front_of
from limen.stored_hashes.argon2 import argon2_front
from tests.conftest import CHEAPEST
from tests.people import PASSWORD
from tests.test_login import BCRYPT
from tests.test_stored_hashes import pbkdf2, scrypt

pytestmark = pytest.mark.anyio

DEARER = Argon2Cost(memory_kib=64, passes=3, lanes=1)
UNKNOWN = [f"user{number}@example.com" for number in range(200)]


@pytest.mark.parametrize("cost", [CHEAPEST, DEARER], ids=["before", "after"])
async def test_a_decoy_has_the_cost_that_new_hashes_have(limen: Limen, cost: Argon2Cost) -> None:
    passwords = Passwords(cost, limen.features.room)
    real = await passwords.hash(PASSWORD)

    assert {front_of(passwords.stand_in(email)) for email in UNKNOWN} == {front_of(real)}


async def test_while_accounts_are_upgraded_decoys_cost_what_accounts_do(limen: Limen) -> None:
    """A quarter has the new cost already: so have a quarter of the unknown, give or take."""
    passwords = Passwords(DEARER, limen.features.room, stand_in_key=b"k" * 32)
    old, new = await limen.features.passwords.hash(PASSWORD), await passwords.hash(PASSWORD)
    passwords.learn([old] * 750 + [new] * 250)

    fronts = [front_of(passwords.stand_in(email)) for email in UNKNOWN]
    assert set(fronts) == {argon2_front(CHEAPEST), argon2_front(DEARER)}
    assert 30 < fronts.count(argon2_front(DEARER)) < 70


@pytest.mark.parametrize("stored", [BCRYPT, pbkdf2(), scrypt()], ids=["bcrypt", "PBKDF2", "scrypt"])
async def test_unknown_accounts_are_as_old_as_the_known_ones(limen: Limen, stored: str) -> None:
    limen.features.passwords.learn([stored] * 1000)

    kinds = {front_of(limen.features.passwords.stand_in(email)) for email in UNKNOWN}
    assert kinds == {front_of(stored)}


@pytest.mark.parametrize("stored", [BCRYPT, pbkdf2(), scrypt()], ids=["bcrypt", "PBKDF2", "scrypt"])
async def test_a_locked_account_costs_what_it_did(limen: Limen, stored: str) -> None:
    alike = limen.features.passwords.look_alike(stored)

    assert front_of(alike) == front_of(stored)
    assert alike != stored
    assert not (await limen.features.passwords.verify(PASSWORD, alike)).matches


async def test_a_hash_that_cannot_be_read_costs_what_a_current_one_does(limen: Limen) -> None:
    current = front_of(await limen.features.passwords.hash(PASSWORD))

    assert front_of(limen.features.passwords.look_alike("!")) == current
    assert current == argon2_front(replace(CHEAPEST))
