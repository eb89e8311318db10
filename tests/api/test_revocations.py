"""GET /revocations: whoever follows it knows what to refuse, soon, and learns nothing else."""

import asyncio
import time
from typing import Any

import httpx2
import pytest

from limen import feed
from limen.limen import Limen
from limen.verify.errors import InvalidToken
from limen.verify.keyset import KeySet
from limen.verify.revocations import BOUND_SECONDS, Revocation, Revocations
from limen.verify.verifier import Verifier
from tests.clock import ManualClock
from tests.crowds import until
from tests.people import AUTH, Person, somebody
from tests.stored import aged

pytestmark = pytest.mark.anyio

PATH = f"{AUTH}/revocations"
LONG = 20


async def read(
    http: httpx2.AsyncClient, after: int = 0, mark: str = "", wait: int = 0
) -> dict[str, Any]:
    answer = await http.get(PATH, params={"after": after, "mark": mark, "wait": wait})
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def waiting(http: httpx2.AsyncClient, limen: Limen, after: int) -> asyncio.Task[Any]:
    """Ask for what is newer, and give the request once it waits."""
    task = asyncio.create_task(read(http, after, wait=LONG))
    await until(lambda: limen.features.feed._waiting > 0)
    return task


async def test_it_names_what_was_revoked_in_order_and_nobody(limen: Limen, ada: Person) -> None:
    eve = await somebody(limen, ada.http, "eve@example.com")
    await ada.log_out()
    await limen.features.accounts.disable(eve.user_id)
    await limen.features.following.catch_up()
    answer = await ada.http.get(PATH)

    page = answer.json()
    assert [entry["kind"] for entry in page["entries"]] == ["keys", "session", "account"]
    assert [entry["seq"] for entry in page["entries"]] == [1, 2, 3]
    assert set(page["entries"][0]) == {"seq", "kind", "subject", "value", "expires_at"}
    assert (page["seq"], page["complete"]) == (3, True)
    assert 0 <= page["age"] < BOUND_SECONDS
    assert answer.headers["Cache-Control"] == "no-store"
    sid = limen.verifier.authenticate(ada.tokens["access_token"]).sid
    for named in (ada.user_id, eve.user_id, sid, "example.com"):
        assert named not in answer.text


async def test_a_verifier_elsewhere_that_follows_it_refuses_the_same_tokens(
    limen: Limen, ada: Person, clock: ManualClock
) -> None:
    eve = await somebody(limen, ada.http, "eve@example.com")
    bob = await somebody(limen, ada.http, "bob@example.com")
    known = Revocations()
    elsewhere = Verifier(
        limen.settings.public_url,
        limen.settings.audience,
        keys=KeySet.from_jwks((await ada.http.get("/.well-known/jwks.json")).json()),
        revocations=known,
        now=lambda: clock() / 1_000_000,
    )

    async def follow() -> None:
        page = await read(ada.http, known.seq)
        known.apply(Revocation(**entry) for entry in page["entries"])
        known.synced(ago=page["age"])

    await follow()
    for person in (ada, eve, bob):
        elsewhere.check(person.tokens["access_token"])
    await ada.log_out()
    await limen.features.accounts.disable(eve.user_id)
    await limen.features.following.catch_up()
    await follow()

    elsewhere.check(bob.tokens["access_token"])
    for person in (ada, eve):
        with pytest.raises(InvalidToken, match="ended"):
            elsewhere.check(person.tokens["access_token"])


async def test_a_long_poll_is_answered_when_another_worker_revokes(
    limen: Limen, twin: Limen, ada: Person
) -> None:
    await limen.features.following.catch_up()
    task = await waiting(ada.http, limen, limen.features.log.seq)
    began = time.monotonic()
    await twin.features.accounts.disable(ada.user_id)

    page = await task
    print(f"answered {(time.monotonic() - began) * 1000:.0f} ms after another worker's change")
    assert [entry["kind"] for entry in page["entries"]] == ["account"]
    assert time.monotonic() - began < LONG / 2


async def test_a_long_poll_ends_when_its_time_is_over(limen: Limen, ada: Person) -> None:
    await limen.features.following.catch_up()
    async with asyncio.timeout(LONG / 2):
        page = await read(ada.http, limen.features.log.seq, wait=1)

    assert page["entries"] == []
    assert (page["seq"], page["complete"]) == (limen.features.log.seq, True)


async def test_a_long_log_comes_in_pages_and_none_is_missed(
    limen: Limen, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MAX_ENTRIES", 3)
    for _ in range(8):
        await ada.sign_in()
        await ada.log_out()
    await limen.features.following.catch_up()

    pages = [await read(ada.http)]
    while not pages[-1]["complete"]:
        pages.append(await read(ada.http, pages[-1]["seq"], pages[-1]["mark"], LONG))
    assert [len(page["entries"]) for page in pages] == [3, 3, 3]
    assert [entry["seq"] for page in pages for entry in page["entries"]] == list(range(1, 10))


async def test_a_worker_that_lags_behind_another_catches_up_before_it_answers(
    limen: Limen, twin: Limen, ada: Person
) -> None:
    """Else it would take the number of the other for that of a database since restored."""
    async with limen.features.log._pulling:
        await twin.features.accounts.disable(ada.user_id)
        await until(lambda: twin.features.log.seq == 2)
        asked = asyncio.create_task(read(ada.http, after=2))
        await asyncio.sleep(0.05)
    page = await asked

    assert (page["entries"], page["seq"]) == ([], 2)


async def test_a_number_of_a_time_before_a_restore_is_answered_from_the_beginning(
    limen: Limen, ada: Person
) -> None:
    await ada.log_out()
    await limen.features.following.catch_up()

    page = await read(ada.http, after=4711, wait=LONG)
    assert [entry["seq"] for entry in page["entries"]] == [1, 2]
    assert page["seq"] == 2


async def test_a_log_as_long_as_the_old_one_but_another_is_answered_from_the_beginning(
    limen: Limen, ada: Person
) -> None:
    """As after a failover that lost the last entry, in the place of which another was written."""
    await ada.log_out()
    await limen.features.following.catch_up()
    page = await read(ada.http)
    same = await read(ada.http, page["seq"], page["mark"])
    other = await read(ada.http, page["seq"], page["mark"][:-1] + "?")

    assert (same["entries"], same["mark"]) == ([], page["mark"])
    assert other["entries"] == page["entries"]
    assert (await read(ada.http, page["seq"], "nonsense"))["entries"] == page["entries"]


async def test_a_memory_that_is_too_old_is_no_answer(limen: Limen, ada: Person) -> None:
    async with aged(limen, BOUND_SECONDS + 1):
        answer = await ada.http.get(PATH)

    assert (answer.status_code, answer.json()["code"]) == (503, "revocations_stale")
    assert int(answer.headers["Retry-After"]) > 0


async def test_whoever_waits_is_told_at_once_when_this_process_knows_too_little(
    limen: Limen, ada: Person
) -> None:
    """Another process may know more: he can ask there while his own knowledge is good."""
    await limen.features.following.catch_up()
    task = await waiting(ada.http, limen, limen.features.log.seq)
    async with aged(limen, BOUND_SECONDS + 1), asyncio.timeout(LONG / 2):
        with pytest.raises(AssertionError, match="revocations_stale"):
            await task


async def test_an_answer_says_how_old_its_knowledge_is(limen: Limen, ada: Person) -> None:
    async with aged(limen, 7):
        page = await read(ada.http)

    assert 7 <= page["age"] < BOUND_SECONDS


async def test_one_too_many_that_would_wait_is_answered_at_once(
    limen: Limen, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MAX_WAITING", 1)
    await limen.features.following.catch_up()
    seq = limen.features.log.seq
    first = await waiting(ada.http, limen, seq)
    async with asyncio.timeout(LONG / 2):
        assert (await read(ada.http, seq, wait=LONG))["entries"] == []

    assert not first.done()
    await ada.log_out()
    assert len((await first)["entries"]) == 1


async def test_whoever_waits_is_answered_when_the_process_is_about_to_stop(
    limen: Limen, ada: Person
) -> None:
    await limen.features.following.catch_up()
    task = await waiting(ada.http, limen, limen.features.log.seq)
    limen.features.feed.close()

    async with asyncio.timeout(LONG / 2):
        assert (await task)["entries"] == []
        await read(ada.http, limen.features.log.seq, wait=LONG)


async def test_an_entry_that_no_token_needs_leaves_the_feed(
    limen: Limen, ada: Person, clock: ManualClock
) -> None:
    await ada.log_out()
    await limen.features.following.catch_up()
    clock.tick(86400)
    await limen.features.keep_house()

    page = await read(ada.http)
    assert (page["entries"], page["seq"]) == ([], 2)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("after=-1", "'after' in the query is not acceptable: it must be 0 or more."),
        ("after=soon", "'after' in the query is not acceptable: it must be a whole number."),
        ("after=1.5", "'after' in the query is not acceptable: it must be a whole number."),
        (f"after={2**63}", f"it must be {2**63 - 1} or less."),
        (f"after={'9' * 5000}", "'after' in the query is not acceptable: "),
        ("wait=21", "'wait' in the query is not acceptable: it must be 20 or less."),
        ("wait=inf", "'wait' in the query is not acceptable: it must be a whole number."),
        ("wait=", "'wait' in the query is not acceptable: it must be a whole number."),
    ],
)
async def test_a_number_that_is_none_is_refused_with_the_rule(
    http: httpx2.AsyncClient, query: str, said: str
) -> None:
    answer = await http.get(f"{PATH}?{query}")

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert said in answer.json()["detail"]
