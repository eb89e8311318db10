"""J8: a critical header that is ignored (PyJWT CVE-2026-32597, Authlib CVE-2025-59420)."""

import pytest

from tests.tokens import reason, signer, verifier

CRITICAL: list[object] = [
    [],
    ["exp"],
    ["b64"],
    ["kid"],
    ["x"],
    [""],
    "exp",
    None,
    {},
    1,
    [[]],
    [None],
]


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "Ed25519", "HS256"])
@pytest.mark.parametrize("crit", CRITICAL, ids=repr)
def test_no_critical_header_is_understood_here(algorithm: str, crit: object) -> None:
    ours = signer(algorithm)

    assert reason(verifier(), ours.token(ours.header(crit=crit))) == "malformed"
    assert reason(verifier(), ours.token(ours.header(crit=crit, exp=1, x=1))) == "malformed"
