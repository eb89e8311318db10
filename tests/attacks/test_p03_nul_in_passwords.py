r"""P3: a NUL ends the string for a C library, so that `a\0b` and `a\0c` are one password."""

from collections.abc import Iterator

import bcrypt
import pytest

from limen.errors import InvalidRequest
from limen.events import Events
from limen.hashing import HashingRoom
from limen.passwords import Passwords
from limen.settings import Argon2Cost

pytestmark = pytest.mark.anyio

WITH_NUL = ["\0", "\0secret words", "secret words\0", "secret words\0b", "secret words\0c"]


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    room = HashingRoom(1, 10.0, Events())
    yield Passwords(Argon2Cost(memory_kib=8, passes=1, lanes=1), room)
    room.close()


@pytest.mark.parametrize("password", WITH_NUL)
async def test_no_password_with_nul_can_be_set(passwords: Passwords, password: str) -> None:
    with pytest.raises(InvalidRequest):
        passwords.check_policy(password, "ada@example.com")
    with pytest.raises(InvalidRequest):
        await passwords.hash(password)


@pytest.mark.parametrize("password", WITH_NUL)
async def test_a_password_with_nul_opens_no_account(passwords: Passwords, password: str) -> None:
    for stored in (await passwords.hash("secret words"), None):
        assert not (await passwords.verify(password, stored)).matches


@pytest.mark.parametrize("imported_from", [b"secret words", b"secret words\0b"])
async def test_nor_an_imported_one(passwords: Passwords, imported_from: bytes) -> None:
    stored = bcrypt.hashpw(imported_from, bcrypt.gensalt(12)).decode()

    assert not (await passwords.verify("secret words\0b", stored)).matches
    assert not (await passwords.verify("secret words\0c", stored)).matches
