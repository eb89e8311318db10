"""J3: our public key as JWK text, used as an HMAC secret (PyJWT CVE-2026-48526)."""

import json

import pytest

from tests.tokens import b64, hs256, payload_of, reason, signer, verifier


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "Ed25519"])
@pytest.mark.parametrize("wrapped", [False, True], ids=["key", "key set"])
def test_no_text_of_a_jwk_is_a_secret(algorithm: str, *, wrapped: bool) -> None:
    ours = signer(algorithm)
    signed = ours.token(ours.header(alg="HS256"), payload_of()).rpartition(".")[0]
    document = {"keys": [ours.jwk]} if wrapped else ours.jwk
    texts = [
        json.dumps(document, sort_keys=ordered, separators=separators) + end
        for ordered in (False, True)
        for separators in ((",", ":"), (", ", ": "))
        for end in ("", "\n")
    ]

    answers = {
        reason(verifier(), f"{signed}.{b64(hs256(text.encode(), signed.encode()))}")
        for text in texts
    }

    assert answers == {"bad_signature"}
