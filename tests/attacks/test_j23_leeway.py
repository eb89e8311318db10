"""J23: leeway stretched until an old or revoked token works again."""

import pytest

from limen.verify.revocations import Revocation, subject_digest
from tests.tokens import NOW, payload_of, reason, signer, verifier

TOKEN = signer("Ed25519").token()
EXPIRY = NOW + 1800


@pytest.mark.parametrize("leeway", [0, 1, 60])
def test_leeway_forgives_a_clock_that_is_behind_and_no_more(leeway: int) -> None:
    assert reason(verifier(leeway=leeway, now=NOW - leeway), TOKEN) == "accepted"
    assert reason(verifier(leeway=leeway, now=NOW - leeway - 1), TOKEN) == "not_yet_valid"


@pytest.mark.parametrize("claim", ["iat", "nbf"])
def test_leeway_is_for_each_time_that_must_have_come(claim: str) -> None:
    token = signer("Ed25519").token(payload=payload_of(**{claim: NOW + 30}))

    assert reason(verifier(leeway=30), token) == "accepted"
    assert reason(verifier(leeway=29), token) == "not_yet_valid"


@pytest.mark.parametrize("leeway", [0, 1, 60])
def test_leeway_adds_nothing_to_a_life(leeway: int) -> None:
    assert reason(verifier(leeway=leeway, now=EXPIRY - 1), TOKEN) == "accepted"
    assert reason(verifier(leeway=leeway, now=EXPIRY), TOKEN) == "expired"
    longer = signer("Ed25519").token(payload=payload_of(exp=NOW + 86401))
    assert reason(verifier(leeway=leeway), longer) == "bad_claims"


@pytest.mark.parametrize("now", [NOW - 60, NOW, EXPIRY - 1, EXPIRY, EXPIRY + 60], ids=str)
def test_leeway_never_revives_what_was_revoked_not_even_as_the_entry_is_forgotten(now: int) -> None:
    checker = verifier(leeway=60, now=now)
    checker.revocations.apply([Revocation(1, "session", subject_digest("s-1"), 0, EXPIRY)])
    checker.revocations.expire(now)

    assert reason(checker, TOKEN) in {"ended", "expired"}


@pytest.mark.parametrize("leeway", [-1, 61, 3600])
def test_more_than_a_minute_is_no_leeway(leeway: int) -> None:
    with pytest.raises(ValueError, match="leeway"):
        verifier(leeway=leeway)
