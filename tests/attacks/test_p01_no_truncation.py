"""P1: a hash that looks at the first 72 bytes only (Okta 2024): the rest need not be known."""

import hashlib
from collections.abc import Iterator

import bcrypt
import httpx2
import pytest

from limen.events import Events
from limen.hashing import HashingRoom
from limen.limen import Limen
from limen.passwords import Passwords
from limen.settings import Argon2Cost
from tests.people import attempt

pytestmark = pytest.mark.anyio


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    room = HashingRoom(1, 10.0, Events())
    yield Passwords(Argon2Cost(memory_kib=8, passes=1, lanes=1), room)
    room.close()


@pytest.mark.parametrize("length", [8, 55, 56, 71, 72, 73, 128, 255, 256])
@pytest.mark.parametrize("letter", ["a", "é", "🐎"])
async def test_the_last_character_counts_at_every_length(
    passwords: Passwords, length: int, letter: str
) -> None:
    password = letter * length
    stored = await passwords.hash(password)

    assert (await passwords.verify(password, stored)).matches
    assert not (await passwords.verify(password[:-1] + "b", stored)).matches
    assert not (await passwords.verify(password[:-1], stored)).matches
    assert not (await passwords.verify(password + letter, stored)).matches


async def test_an_imported_bcrypt_hash_sees_72_bytes_and_its_upgrade_all_of_them(
    passwords: Passwords,
) -> None:
    whole = "é" * 50  # 100 bytes
    imported = bcrypt.hashpw(whole.encode()[:72], bcrypt.gensalt(12)).decode()
    verdict = await passwords.verify(whole, imported)

    assert verdict.matches
    assert (await passwords.verify(whole, verdict.upgraded)).matches
    assert not (await passwords.verify("é" * 36, verdict.upgraded)).matches
    assert not (await passwords.verify("é" * 36 + "x" * 14, verdict.upgraded)).matches


@pytest.mark.parametrize("name", ["", "bcrypt$"], ids=["bare", "Django's"])
async def test_what_is_behind_72_bytes_counts_from_the_first_sign_in_on(
    limen: Limen, http: httpx2.AsyncClient, name: str
) -> None:
    """The system that made the hash had never looked at it, so that nobody can know it before."""
    whole = "k" * 72 + " and then some"
    imported = name + bcrypt.hashpw(whole.encode()[:72], bcrypt.gensalt(12)).decode()
    await limen.features.accounts.create_with_hash("ken@example.com", imported)

    assert (await attempt(http, "ken@example.com", whole[:71])).status_code == 401
    assert (await attempt(http, "ken@example.com", whole)).status_code == 200
    for other in (whole[:72], whole[:-1], whole + "!", "k" * 72 + " and then more"):
        assert (await attempt(http, "ken@example.com", other)).status_code == 401
    assert (await attempt(http, "ken@example.com", whole)).status_code == 200


async def test_bcrypt_of_a_digest_has_looked_at_all_of_it_from_the_beginning(
    passwords: Passwords,
) -> None:
    whole = "l" * 72 + " and then some"
    digest = hashlib.sha256(whole.encode()).hexdigest().encode()
    imported = "bcrypt_sha256$" + bcrypt.hashpw(digest, bcrypt.gensalt(12)).decode()

    assert (await passwords.verify(whole, imported)).matches
    for other in (whole[:72], whole[:-1], digest.decode()):
        assert not (await passwords.verify(other, imported)).matches


async def test_an_imported_bcrypt_hash_of_fewer_bytes_sees_all_of_them(
    passwords: Passwords,
) -> None:
    imported = bcrypt.hashpw(b"a" * 71, bcrypt.gensalt(12)).decode()

    assert not (await passwords.verify("a" * 72, imported)).matches
