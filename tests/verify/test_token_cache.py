"""A verified token is remembered, and never for longer than it is good."""

import time
from itertools import count

import pytest

from limen.verify.claims import Claims
from limen.verify.errors import InvalidToken
from limen.verify.keyset import KeySet, VerificationKey
from limen.verify.revocations import Revocation, Revocations, subject_digest
from limen.verify.token_cache import TokenCache, Verified
from limen.verify.verifier import Verifier
from tests.tokens import AUDIENCE, ISSUER, NOW, payload_of, signer

SIGNER = signer("ES256")
ROUNDS = 300


class Keys(KeySet):
    """Keys that can be retired."""

    def retire(self) -> None:
        self._keys.clear()

    def add(self, key: VerificationKey) -> None:
        self._keys[key.kid] = key


class Service:
    """A verifier whose keys, clock and revocations a test may change."""

    def __init__(self, cached: int = 100) -> None:
        self.keys = Keys([SIGNER.key])
        self.now = float(NOW)
        self.revocations = Revocations(monotonic=lambda: 0.0)
        self.revocations.synced()
        self.verifier = Verifier(
            ISSUER,
            AUDIENCE,
            keys=self.keys,
            revocations=self.revocations,
            now=lambda: self.now,
            cached=cached,
        )

    def verdict(self, token: str) -> str:
        try:
            self.verifier.check(token)
        except InvalidToken as refusal:
            return refusal.reason
        return "accepted"


@pytest.fixture
def service() -> Service:
    """A service that has just let the token in."""
    service = Service()
    assert service.verdict(TOKEN) == "accepted"
    return service


TOKEN = SIGNER.token()


def remembered(number: int = 0) -> Verified:
    return Verified(Claims.from_payload(payload_of(jti=f"t-{number}")), SIGNER.key)


def test_a_remembered_token_is_not_verified_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VerificationKey, "verifies", lambda *_: pytest.fail("verified again"))

    assert service.verdict(TOKEN) == "accepted"


def test_a_remembered_token_expires(service: Service) -> None:
    service.now = NOW + 1799.9
    assert service.verdict(TOKEN) == "accepted"
    service.now = NOW + 1800
    assert service.verdict(TOKEN) == "expired"


def test_a_remembered_token_goes_with_its_key(service: Service) -> None:
    service.keys.retire()
    assert service.verdict(TOKEN) == "unknown_key"


def test_a_remembered_token_is_not_good_for_another_key_of_the_same_kid(service: Service) -> None:
    service.keys.add(signer("ES256", "other").key)
    service.keys.add(VerificationKey(SIGNER.kid, "ES256", signer("ES256", "other").public))
    assert service.verdict(TOKEN) == "bad_signature"


@pytest.mark.parametrize(
    "revocation",
    [
        Revocation(1, "session", subject_digest("s-1"), 0, NOW + 1800),
        Revocation(1, "account", subject_digest("u-1"), 2, NOW + 1800),
    ],
    ids=["session", "account"],
)
def test_a_remembered_token_ends_when_it_is_revoked(
    service: Service, revocation: Revocation
) -> None:
    service.revocations.apply([revocation])
    assert service.verdict(TOKEN) == "ended"


def test_no_letter_of_a_remembered_token_can_be_changed(service: Service) -> None:
    for place, letter in enumerate(TOKEN):
        changed = TOKEN[:place] + ("A" if letter != "A" else "B") + TOKEN[place + 1 :]
        assert service.verdict(changed) != "accepted"


def test_what_was_refused_is_not_remembered() -> None:
    service = Service()
    for payload in (payload_of(iss="x"), payload_of(aud="x"), payload_of(type="refresh")):
        assert service.verdict(SIGNER.token(payload=payload)) != "accepted"
    assert service.verdict(signer("ES256", "other").token(SIGNER.header())) == "bad_signature"

    assert len(service.verifier._cache) == 0


def test_no_more_is_remembered_than_allowed_and_what_is_in_use_stays() -> None:
    cache = TokenCache(100)
    for number in range(1000):
        cache.put(str(number), remembered(number))
        assert cache.get("0") == remembered(0)
        assert len(cache) <= 100

    assert cache.get("998") == remembered(998)
    assert cache.get("500") is None


def test_a_cache_of_no_size_remembers_nothing() -> None:
    cache = TokenCache(0)
    cache.put("token", remembered())

    assert (cache.get("token"), len(cache)) == (None, 0)


def test_a_remembered_token_costs_a_fraction() -> None:
    with_cache, without = Service(), Service(cached=0)
    costs = {}
    for name, service in (("hit", with_cache), ("miss", without)):
        service.verdict(TOKEN)
        began = time.perf_counter()
        for _ in range(ROUNDS):
            assert service.verdict(TOKEN) == "accepted"
        costs[name] = (time.perf_counter() - began) / ROUNDS
    numbers = count()
    tokens = [SIGNER.token(payload=payload_of(jti=f"t-{next(numbers)}")) for _ in range(ROUNDS)]
    began = time.perf_counter()
    for token in tokens:
        assert with_cache.verdict(token) == "accepted"
    costs["first time"] = (time.perf_counter() - began) / ROUNDS

    shown = ", ".join(f"{name} {cost * 1e6:.0f} µs" for name, cost in costs.items())
    print(f"ES256: {shown}; a miss costs {costs['miss'] / costs['hit']:.0f} hits")
