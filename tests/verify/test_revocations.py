"""What was revoked stays revoked, and not knowing is not a yes."""

import random
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Literal

import pytest

from limen.verify.claims import Claims
from limen.verify.errors import InvalidToken, RevocationsStale
from limen.verify.revocations import Revocation, Revocations, subject_digest
from tests.tokens import payload_of


class Monotonic:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def monotonic() -> Monotonic:
    return Monotonic()


@pytest.fixture
def revocations(monotonic: Monotonic) -> Revocations:
    synced = Revocations(monotonic=monotonic)
    synced.synced()
    return synced


def claims(sid: str = "s-1", user_id: str = "u-1", cv: int = 1) -> Claims:
    return Claims.from_payload(payload_of(sid=sid, sub=user_id, user_id=user_id, cv=cv))


def session(seq: int, sid: str, expires_at: int = 100) -> Revocation:
    return Revocation(seq, "session", subject_digest(sid), 0, expires_at)


def account(seq: int, user_id: str, cv: int, expires_at: int = 100) -> Revocation:
    return Revocation(seq, "account", subject_digest(user_id), cv, expires_at)


def is_ended(revocations: Revocations, claims: Claims) -> bool:
    try:
        revocations.check(claims)
    except InvalidToken as refusal:
        return refusal.reason == "ended"
    return False


def test_a_digest_is_sha256_in_base64url_without_padding() -> None:
    expected = urlsafe_b64encode(sha256(b"s-1").digest()).decode().rstrip("=")

    assert subject_digest("s-1") == expected
    assert len(expected) == 43


def test_a_session_that_ended_is_refused_and_no_other(revocations: Revocations) -> None:
    revocations.apply([session(1, "s-1")])

    assert is_ended(revocations, claims("s-1", cv=99))
    assert not is_ended(revocations, claims("s-2"))


def test_an_account_is_refused_below_its_floor(revocations: Revocations) -> None:
    revocations.apply([account(1, "u-1", cv=3)])

    assert [is_ended(revocations, claims(cv=cv)) for cv in (1, 2, 3, 4)] == [
        True,
        True,
        False,
        False,
    ]
    assert not is_ended(revocations, claims(user_id="u-2"))


def test_an_entry_without_a_kind_of_ours_only_counts(revocations: Revocations) -> None:
    revocations.apply([Revocation(7, "keys", "u-1", 99, 100)])

    assert revocations.seq == 7
    assert len(revocations) == 0
    assert not is_ended(revocations, claims())


def test_the_order_and_the_number_of_arrivals_change_nothing() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    shuffle = random.Random(seed)
    entries = [account(i, "u-1", cv=i % 7, expires_at=100 + i % 5) for i in range(1, 30)]
    entries += [session(i, f"s-{i % 4}", expires_at=100 + i % 3) for i in range(30, 50)]
    for _ in range(50):
        arrivals = shuffle.sample(entries, len(entries)) + shuffle.choices(entries, k=10)
        known = Revocations(monotonic=lambda: 0.0)
        known.synced()
        known.apply(arrivals)
        known.expire(101)
        assert known.seq == 49
        assert len(known) == 5
        assert is_ended(known, claims("s-9", cv=5))
        assert not is_ended(known, claims("s-9", cv=6))
        known.expire(103)
        assert len(known) == 1


@pytest.mark.parametrize(
    ("elapsed", "fresh"), [(0, True), (10, True), (10.001, False), (3600, False)], ids=str
)
def test_an_old_knowledge_says_neither_yes_nor_no(
    revocations: Revocations, monotonic: Monotonic, elapsed: float, *, fresh: bool
) -> None:
    monotonic.now += elapsed

    assert revocations.is_fresh is fresh
    if fresh:
        revocations.check(claims())
    else:
        with pytest.raises(RevocationsStale):
            revocations.check(claims())


def test_without_any_knowledge_nothing_is_let_through() -> None:
    never_synced = Revocations()
    never_synced.apply([])

    assert not never_synced.is_fresh
    with pytest.raises(RevocationsStale):
        never_synced.check(claims())


def test_what_is_known_as_revoked_is_refused_even_when_stale() -> None:
    never_synced = Revocations()
    never_synced.apply([session(1, "s-1"), account(2, "u-2", cv=2)])

    assert is_ended(never_synced, claims("s-1"))
    assert is_ended(never_synced, claims("s-2", "u-2", cv=1))


def test_knowledge_from_another_is_as_old_as_it_says(
    revocations: Revocations, monotonic: Monotonic
) -> None:
    revocations.synced(ago=4)
    assert revocations.age == 4
    monotonic.now += 6
    revocations.check(claims())
    monotonic.now += 0.001
    with pytest.raises(RevocationsStale):
        revocations.check(claims())
    assert Revocations().age == float("inf")


def test_a_sync_makes_it_fresh_again(revocations: Revocations, monotonic: Monotonic) -> None:
    monotonic.now += 60
    revocations.synced()

    revocations.check(claims())


@pytest.mark.parametrize("kind", ["session", "account"])
def test_an_entry_is_forgotten_when_its_last_token_has_expired(
    revocations: Revocations, kind: Literal["session", "account"]
) -> None:
    subject = subject_digest("s-1" if kind == "session" else "u-1")
    revocations.apply([Revocation(1, kind, subject, 9, expires_at=100)])

    revocations.expire(99)
    assert is_ended(revocations, claims())
    revocations.expire(100)
    assert len(revocations) == 0
    assert revocations.seq == 1
