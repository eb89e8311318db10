"""Every call to the database is made to fail once, in turn, whoever needs it.

Each operation is tried again and again by people who are new to it, and the first, the second, the
third ... of its database calls fails, until there is none left to fail. Whatever fails: the answer
is a problem document, or the answer that it would have been; no token is handed out that no
committed session stands behind; no check is skipped; and the next request is as good as ever.

A commit that took effect and was reported as failed is the hardest. Nobody can know, so the answer
is 503; what is true is what was committed, and the client that tries again finds it out.
"""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx2
import pytest
from sqlalchemy import Row

from limen.clock import SECOND
from limen.database.address import sqlite_path
from limen.database.schema import accounts, rate_limits, sessions
from limen.events import Event
from limen.limen import Limen
from limen.refresh import RETRY_WINDOW
from tests.clock import ManualClock
from tests.crowds import hashes
from tests.faults.failing_calls import Fault, Strike, failing
from tests.faults.ledger import payload, sid_of
from tests.people import AUTH, PASSWORD, Person, attempt, guess, somebody
from tests.refusals import problem
from tests.stored import rows

pytestmark = pytest.mark.anyio

HOUR = 3600  # by then every limit has forgotten those who came before
KEY, NEXT_KEY = "retry-key-of-this-refresh", "retry-key-of-the-next-one"

Act = Callable[[Person], Awaitable[httpx2.Response]]


async def nothing(_: Person) -> None:
    """Who has just signed in needs no preparation."""


@dataclass(frozen=True, slots=True)
class Struck:
    """Somebody whose request lost one call: what he was answered, and what is stored.

    `session` is the row that stands behind the last tokens he was given; `slots` are those that
    his request has taken and kept, `hashes` what it cost, `sent` the tokens he had before.
    """

    person: Person
    sent: dict[str, Any] = field(repr=False)
    answer: httpx2.Response
    strike: Strike
    session: Row[Any]
    slots: int
    hashes: int


@dataclass(slots=True)
class Victims:
    """People who do the same thing one after another, a different call failing for each."""

    limen: Limen
    http: httpx2.AsyncClient
    clock: ManualClock
    happened: list[Event]
    figures: Counter[str] = field(default_factory=Counter)

    async def of(
        self, act: Act, *answers: int, after: Callable[[Person], Awaitable[object]] = nothing
    ) -> AsyncIterator[Struck]:
        """Yield each of them; `answers` are those that there are without a fault."""
        faults: tuple[Fault, ...] = ("refused", "unheard", "cut")
        for fault in faults[: 2 if sqlite_path(self.limen.settings.database_url) else 3]:
            for number in count(1):
                struck = await self._strike(act, after, number, fault)
                self._check(struck, answers)
                if struck.strike.hit is None:
                    self.figures[f"{fault} of {number - 1}"] += number - 1
                    break
                yield struck
        print(", ".join(f"{what}: {number}" for what, number in sorted(self.figures.items())))

    async def _strike(
        self, act: Act, after: Callable[[Person], Awaitable[object]], number: int, fault: Fault
    ) -> Struck:
        self.clock.tick(HOUR)
        person = await somebody(self.limen, self.http, f"{fault}-{number}@example.com")
        await after(person)
        self.happened.clear()
        sent = person.tokens
        with failing(self.limen, number, fault) as strike:
            answer = await act(person)
        session = await stored(self.limen, person)
        slots, hashed = await self._slots(), hashes(self.happened)
        return Struck(person, sent, answer, strike, session, slots, hashed)

    def _check(self, struck: Struck, answers: tuple[int, ...]) -> None:
        answer = struck.answer
        self.figures[f"answered {answer.status_code}"] += 1
        if answer.status_code >= 400:
            expected = {*answers} if struck.strike.hit is None else {*answers, 503}
            found = problem(answer.status_code, answer.headers, answer.content, expected=expected)
            assert "token" not in found
        assert answer.status_code in answers or int(answer.headers["Retry-After"]) > 0

    async def _slots(self) -> int:
        """Return how many slots of any limit were taken at the present moment."""
        moment = f"{self.clock():016d}-"
        return sum(row.stamps.count(moment) for row in await rows(self.limen, rate_limits))


@pytest.fixture
def victims(
    limen: Limen, http: httpx2.AsyncClient, clock: ManualClock, happened: list[Event]
) -> Victims:
    return Victims(limen, http, clock, happened)


async def stored(limen: Limen, person: Person) -> Row[Any]:
    """Return the row of the session of his last tokens, which must be there."""
    (row,) = [row for row in await rows(limen, sessions) if row.sid == sid_of(person.tokens)]
    return row


def generation(person: Person) -> int:
    return int(payload(person.tokens["refresh_token"])["gen"])


async def test_a_registration_is_done_or_not(limen: Limen, victims: Victims) -> None:
    async def register(person: Person) -> httpx2.Response:
        body = {"email": f"new-{person.email}", "password": PASSWORD}
        return await person.http.post(f"{AUTH}/register", json=body)

    async for struck in victims.of(register, 201):
        email = f"new-{struck.person.email}"
        is_made = any(row.email == email for row in await rows(limen, accounts))
        assert struck.hashes <= struck.slots <= 1
        assert is_made or struck.answer.status_code == 503

        again = await register(struck.person)
        assert again.status_code == (409 if is_made else 201)
        assert (await attempt(struck.person.http, email)).status_code == 200


async def test_a_sign_in_gives_tokens_only_of_a_committed_session(
    limen: Limen, victims: Victims
) -> None:
    async for struck in victims.of(Person.sign_in, 200):
        person = struck.person
        started = [row for row in await rows(limen, sessions) if row.user_id == person.user_id]
        if struck.answer.status_code == 200:
            assert (len(started), struck.slots) == (2, 0)
        else:
            assert struck.hashes == 0 or struck.slots == 2 or len(started) == 2

        assert (await person.sign_in()).status_code == 200
        assert (await person.me()).status_code == 200


async def test_a_wrong_password_is_always_counted_and_never_right(victims: Victims) -> None:
    async for struck in victims.of(lambda person: guess(person.http, person.email), 401):
        is_heard = struck.answer.status_code == 401
        assert struck.slots == 2 or (struck.slots == 0 and not is_heard)
        assert (1 if is_heard else 0) <= struck.hashes <= struck.slots // 2

        assert (await struck.person.sign_in()).status_code == 200


async def test_a_full_limit_is_never_skipped(victims: Victims) -> None:
    """Not even for the right password."""

    async def guess_five_times(person: Person) -> None:
        for _ in range(5):
            await guess(person.http, person.email)

    async for struck in victims.of(Person.sign_in, 429, after=guess_five_times):
        assert (struck.slots, struck.hashes) == (10, 0)

        assert (await struck.person.sign_in()).status_code == 429


async def test_a_bare_refresh_hands_out_what_is_committed(victims: Victims) -> None:
    """The next one is as good, unless the commit itself was not heard: the price of no key."""
    async for struck in victims.of(Person.refresh, 200):
        is_done = struck.answer.status_code == 200 or struck.strike.is_lost_commit
        assert (struck.session.gen, struck.session.ended_at) == (int(is_done), None)

        again = await struck.person.refresh()
        assert again.status_code == (401 if struck.strike.is_lost_commit else 200)


async def test_an_honest_client_with_a_key_always_gets_on(
    limen: Limen, victims: Victims, clock: ManualClock
) -> None:
    async for struck in victims.of(lambda person: person.refresh(key=KEY), 200):
        person, sent = struck.person, struck.sent["refresh_token"]
        is_done = struck.answer.status_code == 200 or struck.strike.is_lost_commit
        assert (struck.session.gen, struck.session.ended_at) == (int(is_done), None)

        assert (await person.refresh(sent, KEY)).status_code == 200
        assert generation(person) == 1
        clock.tick(RETRY_WINDOW / SECOND)
        assert (await person.refresh(key=NEXT_KEY)).status_code == 200
        assert generation(person) == (await stored(limen, person)).gen == 2


async def test_a_logout_is_done_or_said_to_have_failed(limen: Limen, victims: Victims) -> None:
    async for struck in victims.of(Person.log_out, 204):
        is_done = struck.answer.status_code == 204 or struck.strike.is_lost_commit
        assert (struck.session.ended_at is not None) == is_done
        if not struck.strike.is_lost_commit:  # or else this process hears of it within a second
            assert (await struck.person.me()).status_code == (401 if is_done else 200)

        assert (await struck.person.log_out()).status_code == 204
        await limen.features.log.pull()  # what happens every second
        assert (await struck.person.me()).status_code == 401
        assert (await struck.person.refresh()).status_code == 401


async def test_an_ended_session_is_never_refreshed(victims: Victims) -> None:
    async for struck in victims.of(Person.refresh, 401, after=Person.log_out):
        assert struck.session.end_reason == "logout"
        assert struck.session.gen == 0

        assert (await struck.person.refresh()).status_code == 401


async def test_a_replay_is_caught_now_or_the_next_time(limen: Limen, victims: Victims) -> None:
    """It is never forgiven, and a failure is never taken for one."""

    async def replay(person: Person) -> httpx2.Response:
        return await person.refresh(used[person.user_id])

    async def use(person: Person) -> None:
        used[person.user_id] = person.tokens["refresh_token"]
        await person.refresh()

    used: dict[str, str] = {}
    async for struck in victims.of(replay, 401, after=use):
        # What is tried first, alone, decides about honest refreshes and leaves a replay as it is.
        is_lost = struck.strike.is_lost_commit and struck.strike.hit == "commit"
        is_caught = struck.answer.status_code == 401 or is_lost
        assert struck.session.end_reason == ("replay" if is_caught else None)

        assert (await replay(struck.person)).status_code == 401
        assert (await struck.person.refresh()).status_code == 401
        await limen.features.log.pull()  # what happens every second
        assert (await struck.person.me()).status_code == 401


async def test_who_one_is_is_said_now_or_the_next_time(victims: Victims) -> None:
    async for struck in victims.of(Person.me, 200):
        assert (await struck.person.me()).status_code == 200
