"""Looking a password up among those that leaked: what leaves, what comes back, what if nothing."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from limen.breaches import BreachedPasswords, WhenDown
from limen.errors import PasswordCheckUnavailable, PasswordRefused
from limen.events import BreachCheckFailed, Event, Events
from limen.limen import Limen
from limen.settings import Settings
from tests.people import AUTH, attempt
from tests.ranges import PADDING, Ranges, a_list, answer, digest_of, leaked, signed_by_itself

pytestmark = pytest.mark.anyio

PASSWORD = "correct horse battery staple"
OTHER = "quite another password"


@pytest.fixture
async def ranges() -> AsyncIterator[Ranges]:
    async with a_list() as ranges:
        ranges.answers(leaked(PASSWORD), leaked("another one", 17), PADDING)
        yield ranges


class Asking:
    """Somebody who asks the list, and the time by which he counts."""

    def __init__(self, url: str, when_down: WhenDown = "accept") -> None:
        self.now = 0.0
        self.seen: list[Event] = []
        self.breaches = BreachedPasswords(
            url,
            when_down=when_down,
            events=Events(self.seen.append),
            monotonic=lambda: self.now,
        )

    async def have(self, password: str = PASSWORD) -> bool:
        return await self.breaches.have(password)


@asynccontextmanager
async def asking(ranges: Ranges, when_down: WhenDown = "accept") -> AsyncIterator[Asking]:
    someone = Asking(ranges.url, when_down)
    try:
        yield someone
    finally:
        await someone.breaches.close()


@pytest.fixture
async def someone(ranges: Ranges) -> AsyncIterator[Asking]:
    async with asking(ranges) as someone:
        yield someone


async def test_a_leaked_password_is_found_and_no_other(someone: Asking) -> None:
    assert await someone.have(PASSWORD)
    assert not await someone.have(OTHER)
    assert someone.seen == []


async def test_only_five_digits_leave(someone: Asking, ranges: Ranges) -> None:
    await someone.have()
    (asked,) = ranges.asked
    digest = digest_of(PASSWORD)

    assert asked.startswith(b"GET /range/" + digest[:5] + b" HTTP/1.1\r\n")
    assert b"add-padding: true\r\n" in asked.lower()
    assert b"accept-encoding: identity\r\n" in asked.lower()
    assert digest[5:9] not in asked.upper()
    assert b"correct" not in asked


async def test_what_is_padding_has_not_leaked(someone: Asking, ranges: Ranges) -> None:
    ranges.answers(leaked(PASSWORD, times=0), PADDING)

    assert not await someone.have()
    assert someone.seen == []


@pytest.mark.parametrize("separator", [b"\n", b"\r\n"])
async def test_digits_may_be_small_and_lines_end_as_they_like(
    someone: Asking, ranges: Ranges, separator: bytes
) -> None:
    ranges.answers(leaked(PASSWORD).lower() + separator + PADDING + separator)

    assert await someone.have()


async def test_no_log_holds_the_question(
    someone: Asking, ranges: Ranges, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await someone.have()
    ranges.pieces = [answer(status=b"500 Oops")]
    await someone.have(OTHER)

    assert len(ranges.asked) == 2
    for password in (PASSWORD, OTHER):
        assert digest_of(password)[:5].decode() not in caplog.text


# No answer

GOOD = leaked(PASSWORD)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
NONE = {
    "an error": [answer(GOOD, status=b"500 Internal Server Error")],
    "not found": [answer(GOOD, status=b"404 Not Found")],
    "too many": [answer(GOOD, status=b"429 Too Many Requests", headers=b"Retry-After: 2\r\n")],
    "no content": [b"HTTP/1.1 204 No Content\r\n\r\n"],
    "elsewhere": [answer(GOOD, status=b"302 Found", headers=b"Location: /range/other\r\n")],
    "a page": [answer(b"<!doctype html><title>Sign in to this network</title>")],
    "nothing": [answer()],
    "a bare digest": [answer(GOOD.partition(b":")[0])],
    "a digest cut": [answer(GOOD[1:])],
    "a count that is none": [answer(GOOD + b"x")],
    "good lines and a bad one": [answer(GOOD, b"?", PADDING)],
    "an empty line between": [answer(GOOD, b"", PADDING)],
    "compressed": [answer(GOOD, headers=b"Content-Encoding: gzip\r\n")],
    "an end nobody marked": [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + GOOD],
    "cut off": [HEAD % 1000 + b"Connection: close", GOOD],
    "too much": [answer(*[PADDING] * 20_000)],
    "no HTTP": [b"SSH-2.0-OpenSSH_9.2\r\nConnection: close"],
}


@pytest.mark.parametrize("pieces", NONE.values(), ids=NONE)
async def test_what_is_no_answer_is_none(ranges: Ranges, pieces: list[bytes]) -> None:
    ranges.pieces = pieces
    async with asking(ranges) as trusting, asking(ranges, "refuse") as strict:
        assert not await trusting.have()
        with pytest.raises(PasswordCheckUnavailable):
            await strict.have()

    for someone in (trusting, strict):
        (event,) = someone.seen
        assert isinstance(event, BreachCheckFailed)
        assert event.why
    assert len(ranges.asked) == 2  # above all, no redirect was followed


@pytest.mark.parametrize("pieces", [[answer(GOOD)], [bytes([one]) for one in answer(GOOD)]])
async def test_who_is_slow_is_given_up(
    ranges: Ranges, monkeypatch: pytest.MonkeyPatch, pieces: list[bytes]
) -> None:
    """All of it must come in time: a byte now and then is no progress."""
    monkeypatch.setattr("limen.breaches.SECONDS", 0.2)
    ranges.pieces, ranges.pause = pieces, 10.0 if len(pieces) == 1 else 0.05
    async with asyncio.timeout(5), asking(ranges, "refuse") as someone:
        with pytest.raises(PasswordCheckUnavailable):
            await someone.have()
        assert someone.seen == [BreachCheckFailed("TimeoutError")]

        monkeypatch.undo()
        ranges.pause = 0.0
        assert await someone.have()  # nobody has to restart anything


async def test_a_certificate_that_nobody_trusts_is_no_answer(tmp_path: Path) -> None:
    async with a_list(signed_by_itself(tmp_path)) as ranges, asking(ranges, "refuse") as someone:
        ranges.answers(leaked(PASSWORD))
        with pytest.raises(PasswordCheckUnavailable):
            await someone.have()

    assert someone.seen == [BreachCheckFailed("ConnectError")]
    assert ranges.asked == []


async def test_nobody_there_is_no_answer() -> None:
    async with a_list() as ranges:
        pass
    async with asking(ranges, "refuse") as someone:
        with pytest.raises(PasswordCheckUnavailable):
            await someone.have()


async def test_after_a_failure_it_is_asked_again(someone: Asking, ranges: Ranges) -> None:
    good, ranges.pieces = ranges.pieces, [answer(status=b"503 Later")]
    assert not await someone.have()
    ranges.pieces = good

    assert await someone.have()


# What is kept


async def test_a_range_is_asked_for_once_in_some_hours(someone: Asking, ranges: Ranges) -> None:
    for hours in (0, 1, 5.9):
        someone.now = hours * 3600
        assert await someone.have()
    assert len(ranges.asked) == 1

    someone.now = 6.1 * 3600
    ranges.answers(PADDING)
    assert not await someone.have()
    assert len(ranges.asked) == 2


async def test_of_many_ranges_the_last_ones_used_are_kept(
    someone: Asking, ranges: Ranges, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limen.breaches.KEPT_RANGES", 2)
    for password in ("a", "b", "a", "c"):  # "b" was used least of late
        await someone.have(password)
    assert len(ranges.asked) == 3

    await someone.have("a")
    await someone.have("c")
    assert len(ranges.asked) == 3
    await someone.have("b")
    assert len(ranges.asked) == 4


# In limen


@pytest.fixture(params=["accept", "refuse"])
def when_down(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def settings(settings: Settings, ranges: Ranges, when_down: WhenDown) -> Settings:
    return Settings(
        data_dir=settings.data_dir,
        database_url=settings.database_url,
        signing_algorithm="ES256",
        breached_passwords_url=ranges.url,
        breached_passwords_down=when_down,
    )


async def register(stranger: httpx2.AsyncClient, password: str) -> httpx2.Response:
    body = {"email": "ada@example.com", "password": password}
    return await stranger.post(f"{AUTH}/register", json=body)


async def test_a_leaked_password_cannot_be_chosen(
    stranger: httpx2.AsyncClient, ranges: Ranges
) -> None:
    refused = await register(stranger, PASSWORD)

    assert refused.status_code == 422
    assert refused.json()["code"] == "password_refused"
    assert refused.json()["reason"] == "breached"
    assert (await register(stranger, OTHER)).status_code == 201
    asked = len(ranges.asked)
    assert (await attempt(stranger, "ada@example.com", OTHER)).status_code == 200
    assert (await attempt(stranger, "ada@example.com", PASSWORD)).status_code == 401
    assert len(ranges.asked) == asked == 2  # signing in asks nobody


async def test_the_form_that_is_hashed_is_the_one_that_is_looked_up(
    stranger: httpx2.AsyncClient, ranges: Ranges
) -> None:
    ranges.answers(leaked("a café in the rain"))

    assert (await register(stranger, "a cafe\u0301 in the rain")).status_code == 422


async def test_what_the_policy_refuses_is_not_looked_up(
    stranger: httpx2.AsyncClient, ranges: Ranges
) -> None:
    for password in ("short", "password123", "ada@example.com", "x" * 300):
        assert (await register(stranger, password)).status_code == 422

    assert ranges.asked == []


async def test_without_an_answer_the_operators_choice_decides(
    stranger: httpx2.AsyncClient, ranges: Ranges, happened: list[Event], when_down: str
) -> None:
    ranges.pieces = [answer(status=b"500 Oops")]
    answered = await register(stranger, OTHER)

    assert BreachCheckFailed("status 500") in happened
    if when_down == "accept":
        assert answered.status_code == 201
    else:
        assert answered.status_code == 503
        assert answered.json()["code"] == "password_check_unavailable"
        assert int(answered.headers["Retry-After"]) > 0


async def test_a_new_password_is_looked_up_like_a_first_one(
    limen: Limen, stranger: httpx2.AsyncClient
) -> None:
    account = await limen.features.accounts.create("ada@example.com", OTHER)
    with pytest.raises(PasswordRefused) as refused:
        await limen.features.accounts.set_password(account.user_id, PASSWORD)

    assert refused.value.reason == "breached"
    assert (await attempt(stranger, "ada@example.com", OTHER)).status_code == 200
