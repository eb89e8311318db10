"""The client's rules one by one, their answers given by hand. Nothing is sent, nothing waits."""

from dataclasses import dataclass, field, replace
from typing import TypeVar

import pytest

from limen.client import (
    Kept,
    LimenUnavailable,
    MemoryStore,
    NotSignedIn,
    SignedOut,
    SignOutUnconfirmed,
    StoreUnusable,
    Tokens,
)
from limen.client.calls import Answer, Call, Credentials, Steps
from limen.client.keeper import EARLY_PAUSE, LOCK_SECONDS, Keeper

T = TypeVar("T")

NOTHING = Answer(0, why="ConnectError")
REFUSED = Answer(401, document={"code": "invalid_refresh_token"})
SUPERSEDED = Answer(409, document={"code": "refresh_superseded"})
URL = "https://limen.test"
ADA = Credentials("ada@example.com", "correct horse battery staple")


def pair(number: int, expires_in: int = 1800) -> Answer:
    tokens = {"access_token": f"access {number}", "refresh_token": f"refresh {number}"}
    return Answer(200, document={**tokens, "expires_in": expires_in})


@dataclass
class Bench:
    """A keeper whose session is that of pair 0, received at 0; it is `now`."""

    now: float = 0.0
    store: MemoryStore = field(default_factory=MemoryStore)
    calls: list[Call] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keeper = Keeper(URL, self.store, None, lambda: self.now)
        self.keep(0)

    def keep(self, number: int) -> None:
        tokens = Tokens(f"access {number}", f"refresh {number}", self.now, 1800, ADA.account)
        self.store.save(Kept(tokens, "a device", URL))

    def do(self, steps: Steps[T], *answers: Answer) -> T:
        """Go through the steps; the last answer is given for ever."""
        given, step = list(answers), None
        try:
            step = next(steps)
            while True:
                if isinstance(step, Call):
                    self.calls.append(step)
                    step = steps.send(given.pop(0) if len(given) > 1 else given[0])
                else:
                    self.pauses.append(step.seconds)
                    step = steps.send(None)
        except StopIteration as stop:
            result: T = stop.value
            return result

    @property
    def tokens(self) -> Tokens | None:
        return self.store.load().tokens


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize("age", [0, 600, 1739])
def test_a_token_that_serves_costs_nothing(bench: Bench, age: float) -> None:
    bench.now = age

    assert bench.do(bench.keeper.tokens()).access_token == "access 0"
    assert (bench.calls, bench.pauses) == ([], [])


@pytest.mark.parametrize("age", [1740, 1800, 99999, -1])
def test_it_is_refreshed_when_it_is_time(bench: Bench, age: float) -> None:
    bench.now = age

    assert bench.do(bench.keeper.tokens(), pair(1)).access_token == "access 1"
    assert bench.tokens == Tokens("access 1", "refresh 1", age, 1800, ADA.account)
    assert bench.store.load().device == "a device"


def test_the_margin_of_a_short_life_is_a_quarter(bench: Bench) -> None:
    bench.now = 2000
    bench.do(bench.keeper.tokens(), pair(1, expires_in=40))
    bench.now = 2029
    assert bench.do(bench.keeper.tokens()).access_token == "access 1"
    bench.now = 2030
    assert bench.do(bench.keeper.tokens(), pair(2)).access_token == "access 2"


def test_the_age_counts_from_before_the_token_was_asked_for(bench: Bench) -> None:
    bench.now = 2000
    steps = bench.keeper.tokens()
    assert isinstance(next(steps), Call)
    bench.now = 2009
    with pytest.raises(StopIteration):
        steps.send(pair(1))

    assert bench.tokens is not None
    assert bench.tokens.received_at == 2000


def test_attempts_have_one_key_and_growing_pauses(bench: Bench) -> None:
    bench.now = 2000

    with pytest.raises(LimenUnavailable, match="ConnectError"):
        bench.do(bench.keeper.tokens(), NOTHING)
    bench.do(bench.keeper.tokens(), pair(1))

    assert len(bench.calls) == 5
    assert len({call.headers["Idempotency-Key"] for call in bench.calls}) == 1
    first, second, third = bench.pauses
    assert 1 <= first <= 1.25
    assert 2 <= second <= 2.5
    assert 4 <= third <= 5


def test_another_refresh_has_another_key(bench: Bench) -> None:
    for number in (1, 2):
        bench.now += 2000
        bench.do(bench.keeper.tokens(), pair(number))

    assert len({call.headers["Idempotency-Key"] for call in bench.calls}) == 2


def test_a_token_that_is_handed_out_again_keeps_its_key(bench: Bench) -> None:
    """The first request may have been doubled, and its double rotate the token a minute later."""
    bench.do(bench.keeper.tokens(refused="access 0"), replace_access(pair(0), "newer"))
    bench.do(bench.keeper.tokens(refused="newer"), pair(1))

    one, other = bench.calls
    assert one.headers["Idempotency-Key"] == other.headers["Idempotency-Key"]


def replace_access(answer: Answer, token: str) -> Answer:
    return replace(answer, document={**answer.document, "access_token": token})


@pytest.mark.parametrize(("seconds", "waited"), [("0", 1), ("7", 7), ("Sun, 22 Nov 2026", 1)])
def test_retry_after_is_waited_for(bench: Bench, seconds: str, waited: float) -> None:
    bench.now = 2000
    busy = Answer(503, {"retry-after": seconds})

    assert bench.do(bench.keeper.tokens(), busy, pair(1)).access_token == "access 1"
    assert waited <= bench.pauses[0] <= waited * 1.25


def test_a_long_retry_after_is_told_instead(bench: Bench) -> None:
    bench.now = 2000

    with pytest.raises(LimenUnavailable) as caught:
        bench.do(bench.keeper.tokens(), Answer(503, {"retry-after": "11"}))

    assert caught.value.retry_after == 11
    assert bench.pauses == []


def test_a_good_token_goes_on_while_limen_is_away(bench: Bench) -> None:
    bench.now = 1750
    assert bench.do(bench.keeper.tokens(), NOTHING).access_token == "access 0"
    assert bench.do(bench.keeper.tokens(), NOTHING).access_token == "access 0"
    assert (len(bench.calls), bench.pauses) == (1, [])
    bench.now += EARLY_PAUSE + 1
    assert bench.do(bench.keeper.tokens(), pair(1)).access_token == "access 1"


def test_nobody_waits_for_a_refresh_ahead_of_time(bench: Bench) -> None:
    bench.now = 1750
    release = bench.store.try_lock()

    assert bench.do(bench.keeper.tokens()).access_token == "access 0"
    assert (bench.calls, bench.pauses) == ([], [])
    assert release is not None


def test_a_lock_that_is_never_given_back_is_told(bench: Bench) -> None:
    bench.now = 2000
    assert bench.store.try_lock()

    with pytest.raises(LimenUnavailable, match="a long time"):
        bench.do(bench.keeper.tokens())

    assert LOCK_SECONDS / 2 <= sum(bench.pauses) <= LOCK_SECONDS
    assert bench.calls == []


@pytest.mark.parametrize("answer", [SUPERSEDED, REFUSED, NOTHING, pair(1)])
def test_what_somebody_else_has_stored_meanwhile_is_what_counts(
    bench: Bench, answer: Answer
) -> None:
    bench.now = 2000
    steps = bench.keeper.tokens()
    assert isinstance(next(steps), Call)
    bench.keep(7)
    with pytest.raises(StopIteration) as stop:
        steps.send(answer)

    assert stop.value.value.access_token == "access 7"
    assert bench.tokens is not None
    assert bench.tokens.refresh_token == "refresh 7"


def test_who_signs_out_meanwhile_stays_signed_out(bench: Bench) -> None:
    bench.now = 2000
    steps = bench.keeper.tokens()
    assert isinstance(next(steps), Call)
    bench.store.save(Kept())
    with pytest.raises(NotSignedIn):
        steps.send(pair(1))

    assert bench.tokens is None


def test_superseded_is_asked_again_until_it_is_decided(bench: Bench) -> None:
    bench.now = 2000

    with pytest.raises(SignedOut):
        bench.do(bench.keeper.tokens(), SUPERSEDED, SUPERSEDED, REFUSED)

    assert len(bench.calls) == 3
    assert bench.tokens is None


def test_a_sign_out_without_a_network_forgets_all_the_same(bench: Bench) -> None:
    with pytest.raises(SignOutUnconfirmed):
        bench.do(bench.keeper.sign_out(), NOTHING)

    assert len(bench.calls) == 4
    assert bench.store.load() == Kept(None, "a device", URL)


def test_a_sign_out_that_is_interrupted_forgets_all_the_same(bench: Bench) -> None:
    steps = bench.keeper.sign_out()
    assert isinstance(next(steps), Call)
    steps.close()

    assert bench.tokens is None
    assert bench.store.try_lock()


def test_a_refresh_that_is_interrupted_gives_the_lock_back_and_keeps_its_key(bench: Bench) -> None:
    bench.now = 2000
    steps = bench.keeper.tokens()
    call = next(steps)
    steps.close()

    assert isinstance(call, Call)
    assert bench.tokens is not None
    assert bench.tokens.retry_key == call.headers["Idempotency-Key"]
    assert bench.store.try_lock()


def test_a_sign_in_may_be_repeated_until_it_is_answered(bench: Bench) -> None:
    bench.do(bench.keeper.sign_in(ADA), NOTHING, Answer(503), pair(1))

    logins = [call.headers for call in bench.calls if call.path == "/login"]
    assert logins == [{"Limen-Device": "a device"}] * 3
    assert bench.tokens == Tokens("access 1", "refresh 1", 0, 1800, ADA.account)


def test_a_sign_in_ends_the_session_before_it_once_it_is_stored(bench: Bench) -> None:
    bench.do(bench.keeper.sign_in(ADA), pair(1), NOTHING)

    assert [call.path for call in bench.calls] == ["/login", "/logout"]
    assert bench.calls[1].body == {"refresh_token": "refresh 0"}
    assert bench.pauses == []
    assert bench.tokens is not None
    assert bench.tokens.refresh_token == "refresh 1"


def test_a_session_that_somebody_stored_meanwhile_outlives_a_sign_out(bench: Bench) -> None:
    steps = bench.keeper.sign_out()
    assert isinstance(next(steps), Call)
    bench.keep(7)
    with pytest.raises(StopIteration):
        steps.send(Answer(204))

    assert bench.tokens is not None
    assert bench.tokens.refresh_token == "refresh 7"


def test_a_session_of_another_limen_is_neither_sent_nor_cleared(bench: Bench) -> None:
    other = Keeper("https://other.test", bench.store, None, lambda: 2000.0)
    before = bench.store.load()

    for steps in (other.tokens(), other.sign_in(ADA), other.sign_out()):
        with pytest.raises(StoreUnusable, match=r"another limen.*another path"):
            next(steps)
    assert bench.store.load() == before
    assert bench.store.try_lock()


def test_the_name_of_a_device_is_for_the_limen_that_gave_it(bench: Bench) -> None:
    bench.do(bench.keeper.sign_out(), Answer(204))
    other = Keeper("https://other.test", bench.store, None, lambda: 0.0)
    bench.calls.clear()
    bench.do(other.sign_in(ADA), pair(1))

    assert [call.headers for call in bench.calls] == [{}]
    assert bench.store.load().issuer == "https://other.test"
