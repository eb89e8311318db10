"""J1: a token that says it needs no signature (CVE-2015-9235)."""

import pytest

from tests.tokens import payload_of, reason, signer, verifier

SPELLINGS = ["none", "None", "NONE", "nOnE", "NonE", "none ", "", "null"]
SIGNATURES = ["", ".", ".AAAA", ".bm9uZQ"]


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "Ed25519", "HS256"])
@pytest.mark.parametrize("spelling", SPELLINGS, ids=repr)
@pytest.mark.parametrize("signature", SIGNATURES, ids=repr)
def test_no_spelling_of_none_is_a_signature(algorithm: str, spelling: str, signature: str) -> None:
    ours = signer(algorithm)
    unsigned = ours.token(ours.header(alg=spelling), payload_of()).rpartition(".")[0]

    assert reason(verifier(), unsigned + signature) in {"malformed", "bad_signature"}


def test_a_good_signature_does_not_help_it() -> None:
    ours = signer("HS256")

    assert reason(verifier(), ours.token(ours.header(alg="none"))) == "bad_signature"
