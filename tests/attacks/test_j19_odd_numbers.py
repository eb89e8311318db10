"""J19: times that are no times (python-jose #420, superset #41394: 500s instead of 401s)."""

import json

import pytest

from tests.tokens import NOW, payload_of, reason, signer, verifier

NO_JSON = ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "0x7fffffff", "+1", "1_000", "01", ""]
TOO_LARGE = [str(2**63), str(10**50), "9" * 2000, str(-(2**63) - 1)]
NO_INTEGER = [f"{NOW + 60}.5", f"{NOW + 60}.0", "1.8e9", "1e308", f'"{NOW + 60}"', "true", "false"]
NO_INTEGER += ["null", "[]", "{}", f"[{NOW + 60}]", '""', "-1", "-0.0"]


def token_with(name: str, number: str) -> str:
    text = json.dumps(payload_of(**{name: "HERE"})).replace('"HERE"', number)
    return signer("Ed25519").token(payload=text.encode())


@pytest.mark.parametrize("name", ["exp", "nbf", "iat", "cv"])
@pytest.mark.parametrize("number", NO_JSON + TOO_LARGE, ids=lambda number: number[:24] or "nothing")
def test_what_is_no_64_bit_number_is_malformed(name: str, number: str) -> None:
    assert reason(verifier(), token_with(name, number)) == "malformed"


@pytest.mark.parametrize("name", ["exp", "nbf", "iat", "cv"])
@pytest.mark.parametrize("number", NO_INTEGER)
def test_what_is_no_whole_number_is_a_bad_claim(name: str, number: str) -> None:
    assert reason(verifier(), token_with(name, number)) == "bad_claims"


@pytest.mark.parametrize("number", [str(2**53), str(2**63 - 1)])
def test_a_far_future_is_too_long_a_life(number: str) -> None:
    assert reason(verifier(), token_with("exp", number)) == "bad_claims"
    assert reason(verifier(), token_with("iat", number)) == "not_yet_valid"
    assert reason(verifier(), token_with("nbf", number)) == "not_yet_valid"
