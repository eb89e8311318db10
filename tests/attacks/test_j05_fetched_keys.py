"""J5: a token that makes the verifier fetch a key (PyJWT CVE-2026-48522: file:, ftp:, data:)."""

import pytest

from tests.attacks.outside import watched
from tests.tokens import reason, signer, verifier

URLS = [
    "file:///etc/passwd",
    "ftp://127.0.0.1/key",
    'data:application/json,{"keys":[]}',
    "http://169.254.169.254/latest",
    "https://login.example.com/.well-known/jwks.json",
    "//127.0.0.1:1/",
]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("member", ["kid", "jku", "x5u", "typ", "alg"])
def test_an_address_in_a_token_is_only_text(url: str, member: str) -> None:
    ours, checker = signer("Ed25519"), verifier()
    token = ours.token(ours.header(**{member: url}))

    with watched() as acts:
        answer = reason(checker, token)

    assert answer in {"malformed", "unknown_key", "wrong_type", "bad_signature"}
    assert acts == []


def test_the_watch_sees_what_it_is_for() -> None:
    with watched() as acts, open(__file__, "rb"):  # noqa: PTH123  the plainest way to open one
        pass

    assert acts
