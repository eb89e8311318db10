"""J15: one text that is a compact and a JSON token at once (python-jwt CVE-2022-39227)."""

import json

import pytest

from tests.tokens import b64, payload_of, reason, signer, verifier

HEADER, PAYLOAD, SIGNATURE = signer("Ed25519").token().split(".")
FORGED = b64(json.dumps(payload_of(sub="admin", user_id="admin")).encode())

POLYGLOTS = {
    "the published one": json.dumps(
        {
            f"  {HEADER}.{FORGED}.": "",
            "protected": HEADER,
            "payload": PAYLOAD,
            "signature": SIGNATURE,
        }
    ),
    "flattened": json.dumps({"protected": HEADER, "payload": PAYLOAD, "signature": SIGNATURE}),
    "general": json.dumps(
        {"payload": PAYLOAD, "signatures": [{"protected": HEADER, "signature": SIGNATURE}]}
    ),
    "a second payload": f"{HEADER}.{FORGED}.{PAYLOAD}.{SIGNATURE}",
    "two tokens": f"{HEADER}.{PAYLOAD}.{SIGNATURE},{HEADER}.{FORGED}.{SIGNATURE}",
    "in quotes": f'"{HEADER}.{PAYLOAD}.{SIGNATURE}"',
    "in braces": f"{{{HEADER}.{PAYLOAD}.{SIGNATURE}}}",
    "in an array": json.dumps([f"{HEADER}.{PAYLOAD}.{SIGNATURE}"]),
}


@pytest.mark.parametrize("polyglot", POLYGLOTS.values(), ids=POLYGLOTS.keys())
def test_only_the_compact_form_is_a_token(polyglot: str) -> None:
    assert reason(verifier(), polyglot) == "malformed"


def test_a_payload_is_not_exchanged_under_a_signature() -> None:
    assert reason(verifier(), f"{HEADER}.{FORGED}.{SIGNATURE}") == "bad_signature"
