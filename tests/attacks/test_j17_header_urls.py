"""J17: `jku` and `x5u`, addresses that a verifier would fetch for an attacker (RFC 8725, 3.10)."""

import pytest

from tests.attacks.outside import watched
from tests.tokens import reason, signer, verifier


@pytest.mark.parametrize("member", ["jku", "x5u", "x5c", "x5t", "x5t#S256", "jwk", "url", "iss"])
@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "Ed25519", "HS256"])
def test_no_header_makes_a_connection(member: str, algorithm: str) -> None:
    attacker, checker = signer(algorithm, "attacker"), verifier()
    tokens = [
        attacker.token(attacker.header(**{member: value}))
        for value in ("https://127.0.0.1:1/keys", ["https://127.0.0.1:1/keys"], attacker.jwk, None)
    ]

    with watched() as acts:
        answers = {reason(checker, token) for token in tokens}

    assert answers == {"malformed"}
    assert acts == []
