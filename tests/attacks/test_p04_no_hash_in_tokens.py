"""P4: tokens that hold a digest of the password's hash (djangorestframework-simplejwt).

Who has copied the database can then tell whose a token is, and with a fast digest of a fast hash,
who reads a token can guess at the password.
"""

import base64
import hashlib
import itertools
from collections.abc import Iterator

import httpx2
import jwt
import pytest

from limen.database.schema import accounts
from limen.limen import Limen
from tests.people import AUTH, PASSWORD, Person
from tests.stored import rows
from tests.test_stored_hashes import pbkdf2

pytestmark = pytest.mark.anyio

DIGESTS = ("md5", "sha1", "sha256", "sha384", "sha512", "blake2b", "sha3_256")


def derived(secret: str) -> Iterator[bytes]:
    """Yield what a token might hold of a secret: itself, its parts, and digests of them."""
    parts = [part for part in secret.split("$") if len(part) >= 8]
    yield from (part.encode() for part in [secret, *parts])
    for text, name in itertools.product([secret, *parts], DIGESTS):
        digest = hashlib.new(name, text.encode(), usedforsecurity=False).digest()[:16]
        encoded = base64.b64encode(digest), base64.urlsafe_b64encode(digest)
        yield from (digest, digest.hex().encode(), *(one.rstrip(b"=")[:20] for one in encoded))


async def handed_out(person: Person) -> bytes:
    """Return all that a client is given: tokens decoded and as they are, headers and bodies."""
    answers = [await person.sign_in(), await person.refresh(), await person.me()]
    given = [answer.content + str(answer.headers).encode() for answer in answers]
    for answer in answers[:2]:
        for name in ("access_token", "refresh_token"):
            token = answer.json()[name]
            claims = jwt.decode(token, options={"verify_signature": False})
            given += [str(claims).encode(), str(jwt.get_unverified_header(token)).encode()]
            given += [base64.urlsafe_b64decode(part + "==") for part in token.split(".")]
    return b"\n".join(given)


async def test_nothing_that_is_handed_out_comes_of_the_password_or_its_hash(
    limen: Limen, http: httpx2.AsyncClient
) -> None:
    imported = pbkdf2(PASSWORD)
    account = await limen.features.accounts.create_with_hash("ada@example.com", imported)
    given = await handed_out(Person(http, account.email, account.user_id))
    (row,) = await rows(limen, accounts)

    assert row.password_hash != imported
    assert account.user_id.encode() in given  # the search works
    for secret in (PASSWORD, imported, row.password_hash):
        assert [one for one in derived(secret) if one in given] == []


async def test_a_better_hash_of_the_same_password_changes_no_token(
    limen: Limen, http: httpx2.AsyncClient, stranger: httpx2.AsyncClient
) -> None:
    """What depended on the hash would end with it; a new password ends them by the version."""
    account = await limen.features.accounts.create_with_hash("ada@example.com", pbkdf2(PASSWORD))
    ada = Person(http, account.email, account.user_id)
    await ada.sign_in()
    async with limen.features.database.write() as connection:
        await connection.execute(accounts.update().values(password_hash=pbkdf2(PASSWORD)))

    assert (await ada.me()).status_code == 200
    assert (await ada.refresh()).status_code == 200
    await limen.features.accounts.set_password(ada.user_id, "quite another password")
    assert (await ada.me()).status_code == 401
    refused = await stranger.post(
        f"{AUTH}/refresh", json={"refresh_token": ada.tokens["refresh_token"]}
    )
    assert refused.status_code == 401
