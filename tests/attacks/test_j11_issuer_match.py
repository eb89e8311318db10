"""J11: an issuer that is only partly ours (PyJWT CVE-2024-53861)."""

import pytest

from tests.tokens import ISSUER, payload_of, reason, signer, verifier

FOREIGN = {
    "one letter": "h",
    "a prefix": ISSUER[:-1],
    "a suffix": ISSUER[1:],
    "a middle": ISSUER[8:-4],
    "longer": ISSUER + ".evil.example",
    "a slash more": ISSUER + "/",
    "upper case": ISSUER.upper(),
    "a space more": ISSUER + " ",
    "a NUL more": ISSUER + "\0",
    "credentials": ISSUER.replace("login", "evil@login"),
    "plain http": ISSUER.replace("https", "http"),
    "a homoglyph": ISSUER.replace("o", "\u043e", 1),
    "another": "https://evil.example",
}
MISSHAPEN: list[object] = ["", None, True, 0, {}, [], [ISSUER], list(ISSUER), {ISSUER: 1}]


@pytest.mark.parametrize("issuer", FOREIGN.values(), ids=FOREIGN.keys())
def test_an_issuer_is_ours_letter_by_letter(issuer: str) -> None:
    assert (
        reason(verifier(), signer("Ed25519").token(payload=payload_of(iss=issuer)))
        == "wrong_issuer"
    )


@pytest.mark.parametrize("issuer", MISSHAPEN, ids=repr)
def test_an_issuer_is_a_text(issuer: object) -> None:
    assert (
        reason(verifier(), signer("Ed25519").token(payload=payload_of(iss=issuer))) == "bad_claims"
    )
