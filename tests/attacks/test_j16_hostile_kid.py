"""J16: a kid that is a path, a query, or no text at all (RFC 8725bis; PyJWT #1177)."""

import pytest

from tests.attacks.outside import watched
from tests.tokens import b64, hs256, payload_of, reason, signer, verifier

TEXTS = [
    "", " ", ".", "../../../../dev/null", "/dev/null", "/proc/self/environ", "C:\\windows\\win.ini",
    "' OR 1=1--", "x' UNION SELECT 'secret", "'; DROP TABLE sessions;--", "`id`", "$(id)", "|id",
    "{{7*7}}", "${jndi:ldap://127.0.0.1/a}", "%00", "\0", "Ed25519-key\0", "Ed25519-key ",
    "ed25519-key", "*", "__class__", "\u202eyek", "\U0001f511",
]  # fmt: skip
OTHERS: list[object] = [
    None,
    [],
    {},
    0,
    1.5,
    True,
    ["Ed25519-key"],
    {"Ed25519-key": 1},
    "k" * 10_000,
]


@pytest.mark.parametrize("kid", TEXTS, ids=repr)
def test_a_kid_is_only_looked_up(kid: str) -> None:
    ours, checker = signer("Ed25519"), verifier()
    token = ours.token(ours.header(kid=kid))

    with watched() as acts:
        assert reason(checker, token) == "unknown_key"
    assert acts == []


@pytest.mark.parametrize("kid", OTHERS, ids=lambda kid: repr(kid)[:20])
def test_a_kid_is_a_short_text(kid: object) -> None:
    ours, checker = signer("Ed25519"), verifier()
    token = ours.token(ours.header(kid=kid))

    with watched() as acts:
        assert reason(checker, token) == "malformed"
    assert acts == []


def test_a_file_that_everybody_knows_is_no_secret() -> None:
    ours = signer("HS256")
    signed = ours.token(ours.header(kid="/dev/null"), payload_of()).rpartition(".")[0]

    assert reason(verifier(), f"{signed}.{b64(hs256(b'', signed.encode()))}") == "unknown_key"
