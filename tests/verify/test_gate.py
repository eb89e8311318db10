"""A token has one spelling."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limen.verify.errors import InvalidToken
from limen.verify.gate import MAX_HEADER_BYTES, MAX_TOKEN_BYTES, Unverified, parse
from tests.tokens import b64, payload_of, signer

SIGNER = signer("Ed25519")
GOOD = SIGNER.token()
HEADER, PAYLOAD, SIGNATURE = GOOD.split(".")

MALFORMED = {
    "nothing": "",
    "one part": HEADER,
    "two parts": f"{HEADER}.{PAYLOAD}",
    "four parts": f"{GOOD}.",
    "five parts": f"{GOOD}.a.b",
    "no header": f".{PAYLOAD}.{SIGNATURE}",
    "no payload": f"{HEADER}..{SIGNATURE}",
    "no signature": f"{HEADER}.{PAYLOAD}.",
    "padded": f"{GOOD}==",
    "trailing newline": f"{GOOD}\n",
    "leading space": f" {GOOD}",
    "space inside": f"{HEADER}. {PAYLOAD}.{SIGNATURE}",
    "NUL": f"{GOOD}\0",
    "plus": f"{HEADER}.{PAYLOAD}.{'+' * 86}",
    "slash": f"{HEADER}.{PAYLOAD}.{'/' * 86}",
    "impossible length": f"{HEADER}.{PAYLOAD}.{SIGNATURE[:-1]}",
    "full-width letter": f"{HEADER}.{PAYLOAD}.\uff21{SIGNATURE[1:]}",
    "Arabic digit": f"{HEADER}.{PAYLOAD}.\u0661{SIGNATURE[1:]}",
    "lone surrogate": f"{HEADER}.{PAYLOAD}.\ud800{SIGNATURE[1:]}",
    "JSON serialization": json.dumps(
        {"protected": HEADER, "payload": PAYLOAD, "signature": SIGNATURE}
    ),
    "too long": SIGNER.token(payload=payload_of(sid="s" * MAX_TOKEN_BYTES)),
    "a megabyte": GOOD + "A" * 2**20,
    "a long header": SIGNER.token(header=SIGNER.header(kid="k" * MAX_HEADER_BYTES)),
    "a header of spaces": SIGNER.token(header=json.dumps(SIGNER.header()).encode() + b" " * 400),
}

HEADERS = {
    "no JSON": b"header",
    "an array": b'["alg"]',
    "a string": b'"alg"',
    "null": b"null",
    "a duplicate alg": b'{"alg":"none","alg":"Ed25519","typ":"at+jwt","kid":"Ed25519-key"}',
    "alg null": SIGNER.header(alg=None),
    "alg a list": SIGNER.header(alg=["Ed25519"]),
    "kid null": SIGNER.header(kid=None),
    "kid a number": SIGNER.header(kid=1),
    "kid a list": SIGNER.header(kid=[]),
    "kid an object": SIGNER.header(kid={}),
    "no alg": {"typ": "at+jwt", "kid": SIGNER.kid},
    "no kid": {"typ": "at+jwt", "alg": "Ed25519"},
    "one member more": SIGNER.header(x=1),
    "cty": SIGNER.header(cty="JWT"),
}

PAYLOADS = {
    "no JSON": b"payload",
    "an array": b"[1]",
    "a string": b'"sub"',
    "null": b"null",
    "deep": b"[" * 1500 + b"]" * 1500,
    "a duplicate member": b'{"sub":"u-1","sub":"u-2"}',
    "UTF-16": json.dumps(payload_of()).encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(payload_of()).encode(),
}

OTHER_TYPES: list[object] = [
    None, "", "JWT", "AT+JWT", "at+JWT", "application/at+jwt", "rt+jwt", " at+jwt", "at+jwt\n",
    ["at+jwt"], 1, True, {},
]  # fmt: skip


def refusal(token: str) -> str:
    with pytest.raises(InvalidToken) as caught:
        _ = parse(token).payload
    return caught.value.reason


def test_a_token_of_ours_is_taken_apart() -> None:
    parsed = parse(GOOD)

    written = json.dumps(payload_of()).encode()
    assert parsed == Unverified("Ed25519", "Ed25519-key", GOOD, parsed.signature, written)
    assert parsed.payload == payload_of()
    assert SIGNER.key.verifies(parsed.signed, parsed.signature)


@pytest.mark.parametrize("token", MALFORMED.values(), ids=MALFORMED.keys())
def test_another_spelling_is_malformed(token: str) -> None:
    assert refusal(token) == "malformed"


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS.keys())
def test_a_header_has_alg_typ_and_kid_and_no_more(header: dict[str, object] | bytes) -> None:
    assert refusal(SIGNER.token(header=header)) == "malformed"


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_a_payload_is_one_strict_json_object(payload: bytes) -> None:
    assert refusal(SIGNER.token(payload=payload)) == "malformed"


@pytest.mark.parametrize("typ", OTHER_TYPES, ids=repr)
def test_a_type_is_matched_exactly(typ: object) -> None:
    assert refusal(SIGNER.token(header=SIGNER.header(typ=typ))) == "wrong_type"


def test_a_missing_type_is_a_wrong_type() -> None:
    assert refusal(SIGNER.token(header={"alg": "Ed25519", "kid": "k"})) == "wrong_type"


def test_another_type_is_read_by_who_asks_for_it() -> None:
    token = SIGNER.token(header=SIGNER.header(typ="rt+jwt"))

    assert parse(token, typ="rt+jwt").kid == SIGNER.kid


def test_the_longest_token_is_still_read() -> None:
    spare = (MAX_TOKEN_BYTES - len(SIGNER.token(payload=payload_of(x="")))) * 3 // 4 - 3
    token = SIGNER.token(payload=payload_of(x="x" * spare))

    assert MAX_TOKEN_BYTES - 8 < len(token) <= MAX_TOKEN_BYTES
    assert parse(token).token == token


@given(
    st.text()
    | st.tuples(st.binary(), st.binary(), st.binary()).map(lambda p: ".".join(map(b64, p)))
)
def test_any_text_is_refused_as_an_invalid_token(text: str) -> None:
    assert refusal(text) in {"malformed", "wrong_type"}


def test_a_token_does_not_show_in_a_repr() -> None:
    assert SIGNATURE[:10] not in repr(parse(GOOD))
    assert "u-1" not in repr(parse(GOOD))
