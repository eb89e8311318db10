"""JSON that has two readings has none here."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limen.verify.strict_json import StrictJSONError, loads

INTEGERS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | INTEGERS | FLOATS | TEXTS
DOCUMENTS = st.recursive(LEAVES, lambda d: st.lists(d) | st.dictionaries(TEXTS, d), max_leaves=20)

REFUSED = {
    "nothing": b"",
    "only space": b" \t\r\n",
    "two values": b"1 2",
    "trailing comma": b"[1,]",
    "comment": b"[1] // one",
    "single quotes": b"{'a': 1}",
    "unquoted name": b"{a: 1}",
    "number as name": b"{1: 1}",
    "open array": b"[1",
    "open object": b'{"a": 1',
    "open string": b'"a',
    "open escape": b'"a\\',
    "unknown escape": b'"\\x41"',
    "short escape": b'"\\u00e"',
    "raw newline in a string": b'"a\nb"',
    "raw NUL": b'"\x00"',
    "leading zero": b"01",
    "plus sign": b"+1",
    "bare point": b"1.",
    "hexadecimal": b"0x1F",
    "no-break space": b"\xc2\xa01",
    "Python's True": b"True",
    "NaN": b"NaN",
    "Infinity": b'{"exp": Infinity}',
    "minus Infinity": b"[-Infinity]",
    "a float too large": b"1e999",
    "a negative float too large": b"-1e999",
    "2^63": b"9223372036854775808",
    "-2^63-1": b"-9223372036854775809",
    "an integer of 5,000 digits": b"9" * 5000,
    "a duplicate member": b'{"sub": 1, "sub": 2}',
    "the same duplicate value": b'{"sub": 1, "sub": 1}',
    "a duplicate by escape": b'{"sub": 1, "\\u0073ub": 1}',
    "a deep duplicate": b'[{"a": {"b": 1, "b": 2}}]',
    "byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-16, no mark": '{"a": 1}'.encode("utf-16-le"),
    "UTF-32": '{"a": 1}'.encode("utf-32-be"),
    "Latin-1": b'"\xe9"',
    "overlong UTF-8": b'"\xc0\xaf"',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "a lone high surrogate": b'"\\ud800"',
    "a lone low surrogate": b'["\\udc00"]',
    "surrogates in wrong order": b'"\\udc00\\ud800"',
    "a lone surrogate as name": b'{"\\uD800": 1}',
    "17 arrays": b"[" * 17 + b"]" * 17,
    "17 objects": b'{"a":' * 17 + b"1" + b"}" * 17,
    "20,000 arrays": b"[" * 20_000,
    "20,000 after a string of brackets": b'["]]]]\\"]]]",' + b"[" * 20_000,
}

ACCEPTED = {
    "64-bit edges": (b"[9223372036854775807, -9223372036854775808]", [2**63 - 1, -(2**63)]),
    "a whole surrogate pair": (b'"\\ud83d\\ude00"', "\U0001f600"),
    "an escaped backslash before u": (b'"\\\\ud800"', "\\ud800"),
    "16 arrays": (b"[" * 16 + b"]" * 16, json.loads("[" * 16 + "]" * 16)),
    "100 flat objects": (b"[" + b"{}," * 99 + b"{}]", [{}] * 100),
    "brackets inside strings": (b'["' + b"[{" * 99 + b'\\"[[[[[["]', ["[{" * 99 + '"[[[[[[']),
    "the same name in two objects": (b'[{"a": 1}, {"a": 1}]', [{"a": 1}] * 2),
}

MESSAGES = {
    "",
    "The text is not UTF-8.",
    "The text is not JSON.",
    "The nesting is too deep.",
    "A string holds half a surrogate pair.",
    "A member name occurs twice.",
    "A number is too large.",
    "An integer does not fit into 64 bits.",
    "NaN and Infinity are not JSON.",
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED.keys())
def test_what_has_no_single_reading_is_refused(raw: bytes) -> None:
    with pytest.raises(StrictJSONError):
        loads(raw)


@pytest.mark.parametrize(("raw", "value"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_what_only_looks_odd_is_read(raw: bytes, value: object) -> None:
    assert loads(raw) == value


@given(DOCUMENTS)
def test_whatever_json_writes_is_read_back(document: object) -> None:
    for ascii_only in (True, False):
        raw = json.dumps(document, ensure_ascii=ascii_only).encode()
        assert loads(raw, max_depth=1000) == document


@given(st.binary(max_size=60) | st.text('[]{}",:\\u0d8ceE+-.1 \n').map(str.encode))
def test_nothing_else_escapes_and_nothing_is_echoed(raw: bytes) -> None:
    try:
        value, said = loads(raw), ""
    except StrictJSONError as refusal:
        value, said = None, str(refusal)

    assert said in MESSAGES
    assert said or value == json.loads(raw)


@pytest.mark.parametrize(
    "piece",
    [b'\\"', b'"', b"[]", b'"\\', b'{"a":', b'[""', b"\\"],
    ids=lambda piece: piece.decode(),
)
def test_the_time_grows_with_the_size_only(piece: bytes) -> None:
    raw = b'["' + piece * (64_000 // len(piece))

    start = time.perf_counter()
    with pytest.raises(StrictJSONError):
        loads(raw + b"[" * 17)

    assert time.perf_counter() - start < 5  # backtracking would take minutes
