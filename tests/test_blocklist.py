"""The list of passwords that nobody may choose: what gets on it, and what it refuses."""

import hashlib

import httpx2
import pytest

from limen.blocklist import Blocked, Imported
from limen.database.schema import blocked_passwords
from limen.errors import DatabaseUnavailable, PasswordRefused
from limen.limen import Limen
from tests.clock import ManualClock
from tests.people import AUTH
from tests.stored import moved_away, rows

pytestmark = pytest.mark.anyio

FREE = "quite another password"


def sha1(password: str) -> str:
    return hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest()


async def test_a_password_on_the_list_cannot_be_chosen(
    limen: Limen, stranger: httpx2.AsyncClient
) -> None:
    await limen.features.blocklist.add([b"Acme Rockets 1971"])
    url, email = f"{AUTH}/register", "ada@example.com"
    for password in ("Acme Rockets 1971", "ACME rockets 1971", "Ａcme Rockets 1971"):
        refused = await stranger.post(url, json={"email": email, "password": password})
        assert refused.status_code == 422
        assert refused.json()["reason"] == "blocked"

    made = await stranger.post(url, json={"email": email, "password": FREE})
    assert made.status_code == 201
    with pytest.raises(PasswordRefused) as again:
        await limen.features.accounts.set_password(made.json()["user_id"], "acme rockets 1971")
    assert again.value.reason == "blocked"


@pytest.mark.parametrize("write", [str, str.upper, lambda digest: f"{digest}:3861493".upper()])
async def test_a_list_may_be_of_digests(limen: Limen, write: type[str]) -> None:
    line = write(sha1("Trouble at the Mill"))
    assert await limen.features.blocklist.add([line.encode()]) == Imported(added=1)

    assert await limen.features.blocklist.has("Trouble at the Mill")
    assert not await limen.features.blocklist.has("trouble at the mill")


async def test_lines_are_counted_by_what_became_of_them(limen: Limen, clock: ManualClock) -> None:
    lines = [
        b"a long enough one",
        b"A LONG ENOUGH ONE",  # which is the same
        sha1("something else").encode(),
        b"short",
        b"",
        b"x" * 257,
        b"\xff\xfe not UTF-8 at all",
        b"32ED87BDB5FDC5E9CBA88547376818D4:24230577",  # an NTLM hash: no SHA-1 comes of it
    ]

    assert await limen.features.blocklist.size() == Blocked(0, None)
    assert await limen.features.blocklist.add(lines) == Imported(2, 1, 5)
    since = clock()
    clock.tick(60)
    assert await limen.features.blocklist.add(lines) == Imported(0, 3, 5)
    assert await limen.features.blocklist.size() == Blocked(2, since)


async def test_a_list_is_added_in_batches_and_emptied_in_batches(
    limen: Limen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limen.blocklist.BATCH", 10)
    lines = [f"a password of number {number}".encode() for number in range(95)]

    assert await limen.features.blocklist.add(iter(lines)) == Imported(added=95)
    assert await limen.features.blocklist.has("a password of number 94")
    assert await limen.features.blocklist.clear() == 95
    assert not await limen.features.blocklist.has("a password of number 94")
    assert await limen.features.blocklist.clear() == 0


async def test_another_process_refuses_it_at_once(limen: Limen, twin: Limen) -> None:
    await limen.features.blocklist.add([b"Acme Rockets 1971"])

    assert await twin.features.blocklist.has("acme rockets 1971")


async def test_the_list_is_kept_as_numbers_of_both_signs(limen: Limen) -> None:
    await limen.features.blocklist.add([f"number {number}".encode() for number in range(50)])
    digests = [row.digest for row in await rows(limen, blocked_passwords)]

    assert min(digests) < 0 < max(digests)
    assert digests == sorted(digests)


async def test_without_the_database_nobody_can_tell(limen: Limen) -> None:
    with moved_away(limen), pytest.raises(DatabaseUnavailable):
        await limen.features.passwords.check_new(FREE, "ada@example.com")
