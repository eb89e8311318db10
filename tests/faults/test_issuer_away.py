"""The issuer is away, or talks nonsense: guarded routes answer as documented, and never yes."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cli.processes import until
from tests.tokens import signer
from tests.verify.elsewhere import FEED, JWKS, Elsewhere, answering, elsewhere, verdict

MINUTES = 10


@pytest.fixture
def issuer() -> Iterator[Elsewhere]:
    with elsewhere() as issuer:
        yield issuer


class Watch:
    """A monotonic clock that goes on by itself, and that a test moves forward."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


def test_ten_minutes_away_with_the_feed_is_200_until_the_bound_and_then_503(
    issuer: Elsewhere,
) -> None:
    watch, token = Watch(), issuer.token()
    verifier = issuer.verifier(monotonic=watch)
    assert verdict(verifier, token) == "200"
    issuer.away()
    before = issuer.asked[FEED]
    until(lambda: issuer.asked[FEED] > before)  # the poll that was under way has ended
    seen = []
    for second in range(MINUTES * 60):
        seen.append(verdict(verifier, token))
        watch.ahead += 1
        assert second >= 12 or seen[-1] in ("200", "503")
    changes = [place for place in range(1, len(seen)) if seen[place] != seen[place - 1]]
    assert (seen[0], seen[-1], len(changes)) == ("200", "503", 1)
    assert 4 <= changes[0] <= 11
    print(f"away for {MINUTES} minutes: 200 for {changes[0]} s, then 503 and never again a yes")

    issuer.answers = {}
    assert until(lambda: verdict(verifier, token) == "200") < 5


def test_without_the_feed_it_is_200_for_a_day_and_then_503(issuer: Elsewhere) -> None:
    watch = Watch()
    verifier = issuer.verifier(monotonic=watch, follow=False)
    token = issuer.token()
    assert verdict(verifier, token) == "200"
    issuer.away()
    for ahead in (60, 600, 86_000):
        watch.ahead = ahead
        assert verdict(verifier, token) == "200"
    watch.ahead = 86_500
    assert verdict(verifier, token) == "503"

    issuer.answers = {}
    until(lambda: verdict(verifier, token) == "200")


def test_what_is_known_as_revoked_stays_refused(issuer: Elsewhere) -> None:
    watch = Watch()
    verifier = issuer.verifier(monotonic=watch)
    assert verdict(verifier, issuer.token()) == "200"
    issuer.publish("session", "s-1")
    until(lambda: verdict(verifier, issuer.token()) == "401 ended")
    issuer.away()
    watch.ahead = 600

    assert verdict(verifier, issuer.token()) == "401 ended"
    assert verdict(verifier, issuer.token(sid="s-2")) == "503"


def hang(_: Any) -> None:
    time.sleep(3)


GARBAGE: dict[str, Callable[[Any], None]] = {
    "errors": answering(b"", 500),
    "a redirect": answering({}, 307, {"Location": "/"}),
    "no JSON": answering(b"\0" * 500),
    "the wrong document": answering({"keys": [signer("ES256").jwk]}),
    "hanging up": lambda handler: handler.connection.close(),
    "hanging": hang,
}


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE.keys())
def test_a_feed_of_garbage_is_no_yes_and_heals(
    issuer: Elsewhere, answer: Callable[[Any], None]
) -> None:
    issuer.answers[FEED] = answer
    verifier = issuer.verifier()
    token = issuer.token()

    assert verdict(verifier, token) == "503"
    del issuer.answers[FEED]
    until(lambda: verdict(verifier, token) == "200")
    if answer is not hang:
        issuer.answers[FEED] = answer
        issuer.publish("session", "s-1")
        time.sleep(0.2)
        assert verdict(verifier, token) in ("200", "401 ended")  # within the bound
        del issuer.answers[FEED]
        until(lambda: verdict(verifier, token) == "401 ended")


def test_keys_that_cannot_be_had_at_the_start_are_no_yes(issuer: Elsewhere) -> None:
    issuer.answers[JWKS] = answering(b"", 500)
    verifier, token = issuer.verifier(), issuer.token()
    began = time.monotonic()
    answers = {verdict(verifier, token) for _ in range(200)}

    assert answers == {"503"}
    assert time.monotonic() - began < 20  # only the first of them waited
    del issuer.answers[JWKS]
    until(lambda: verdict(verifier, token) == "200")
