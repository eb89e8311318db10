"""J7: `b64: false` and oversized tokens, for work without bound (PyJWT CVE-2026-48525)."""

import time

import pytest

from tests.tokens import b64, reason, signer, verifier

OURS = signer("Ed25519")


@pytest.mark.parametrize("crit", [["b64"], [], None], ids=str)
@pytest.mark.parametrize("value", [False, True, None, "false"], ids=str)
def test_an_unencoded_payload_is_not_read(value: object, crit: object) -> None:
    header = OURS.header(b64=value) | ({} if crit is None else {"crit": crit})

    assert reason(verifier(), OURS.token(header)) == "malformed"


def test_a_raw_payload_is_not_read_even_if_its_letters_fit() -> None:
    signed = b64(b'{"alg":"Ed25519","typ":"at+jwt","kid":"Ed25519-key","b64":false,"crit":["b64"]}')
    signed += ".payload"

    token = f"{signed}.{b64(OURS.sign(signed.encode()))}"

    assert reason(verifier(), token) == "malformed"


@pytest.mark.parametrize("part", range(3), ids=["header", "payload", "signature"])
def test_a_megabyte_is_refused_by_its_length(part: int) -> None:
    checker, parts = verifier(), OURS.token().split(".")
    parts[part] += "A" * 2**20
    token = ".".join(parts)

    start = time.perf_counter()
    answers = {reason(checker, token) for _ in range(20)}

    assert answers == {"malformed"}
    took = (time.perf_counter() - start) / 20
    print(f"{took * 1e6:.0f} us for a megabyte")
    assert took < 0.1
