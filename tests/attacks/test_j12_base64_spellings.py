"""J12: one token in many spellings, to slip past a list of bad tokens (GHSA-hxm8-2xgr-2p9m)."""

from collections.abc import Iterator

import pytest

from limen.verify.revocations import Revocation, subject_digest
from tests.tokens import NOW, reason, signer, verifier

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def spellings(token: str) -> Iterator[str]:
    """The token itself first, and then what a lenient decoder takes for the same bytes."""
    header, payload, signature = token.split(".")
    yield token
    yield from (
        token + end for end in ("=", "==", "===", "\n", "\r\n", " ", "\t", "!!!!", "\0", "A=")
    )
    yield from (start + token for start in (" ", "\n", "\ufeff", "="))
    yield f"{header}==.{payload}.{signature}"
    yield f"{header}.{payload}==.{signature}"
    yield f"{header}.{payload}.{signature[:9]}\n{signature[9:]}"
    yield f"{header}.{payload}.{signature[:9]}!{signature[9:]}"
    standard = signature.replace("-", "+").replace("_", "/")
    if standard != signature:
        yield f"{header}.{payload}.{standard}"
    # The last letter carries bits that no byte uses: 4 of them here, 16 letters for one signature.
    yield from (token[:-1] + letter for letter in LETTERS if letter != token[-1])


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "Ed25519", "HS256"])
def test_exactly_one_spelling_is_accepted(algorithm: str) -> None:
    every = list(spellings(signer(algorithm).token()))
    answers = [reason(verifier(), token) for token in every]

    assert len(every) > 80
    assert [
        token for token, answer in zip(every, answers, strict=True) if answer == "accepted"
    ] == [every[0]]


def test_a_revoked_token_stays_revoked_in_every_spelling() -> None:
    checker = verifier()
    checker.revocations.apply([Revocation(1, "session", subject_digest("s-1"), 0, NOW + 1800)])

    answers = {reason(checker, token) for token in spellings(signer("Ed25519").token())}

    assert answers <= {"ended", "malformed", "bad_signature"}
