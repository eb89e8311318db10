"""J9: a token that brings its own key (Authlib CVE-2026-27962)."""

import pytest

from tests.tokens import reason, signer, verifier


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "Ed25519", "HS256"])
@pytest.mark.parametrize("kid", ["known", "unknown"])
def test_a_key_inside_the_token_is_not_used(algorithm: str, kid: str) -> None:
    attacker = signer(algorithm, "attacker")
    claimed = f"{algorithm}-key" if kid == "known" else "attacker"
    embedded = attacker.token(attacker.header(kid=claimed, jwk=attacker.jwk))
    bare = attacker.token(attacker.header(kid=claimed))

    assert reason(verifier(), embedded) == "malformed"
    if kid == "unknown":
        assert reason(verifier(), bare) == "unknown_key"
    elif algorithm != "HS256":  # all our HS256 signers share one secret
        assert reason(verifier(), bare) == "bad_signature"


def test_a_token_without_a_kid_meets_no_key() -> None:
    ours = signer("Ed25519")

    assert reason(verifier(), ours.token({"alg": "Ed25519", "typ": "at+jwt"})) == "malformed"
