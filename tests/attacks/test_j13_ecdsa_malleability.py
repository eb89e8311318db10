"""J13: the twin of an ECDSA signature, (r, n - s), which anybody can make from (r, s)."""

from limen.verify.revocations import Revocation, subject_digest
from tests.tokens import NOW, b64, reason, signer, unb64, verifier

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def twin_of(token: str) -> str:
    signed, _, signature = token.rpartition(".")
    r, s = unb64(signature)[:32], int.from_bytes(unb64(signature)[32:])
    return f"{signed}.{b64(r + (P256_ORDER - s).to_bytes(32))}"


def test_a_twin_is_the_same_token_and_is_revoked_with_it() -> None:
    token, checker = signer("ES256").token(), verifier()
    twin = twin_of(token)
    assert twin != token
    assert reason(checker, twin) == reason(checker, token) == "accepted"

    checker.revocations.apply([Revocation(1, "session", subject_digest("s-1"), 0, NOW + 1800)])

    assert reason(checker, twin) == reason(checker, token) == "ended"
