"""base64url: what stands in the RFCs, there and back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limen.verify import base64url

WRITTEN = {
    # RFC 7515, appendix C.
    bytes([3, 236, 255, 224, 193]): "A-z_4ME",
    # RFC 4648, section 10, less the padding.
    b"": "",
    b"f": "Zg",
    b"fo": "Zm8",
    b"foo": "Zm9v",
    b"foob": "Zm9vYg",
    b"fooba": "Zm9vYmE",
    b"foobar": "Zm9vYmFy",
}


@pytest.mark.parametrize(("raw", "text"), WRITTEN.items(), ids=WRITTEN.values())
def test_bytes_are_written_and_read_as_in_the_rfcs(raw: bytes, text: str) -> None:
    assert base64url.encode(raw) == text
    assert base64url.decode(text) == raw


@given(st.binary())
def test_any_bytes_come_back_from_text_that_needs_no_quoting(raw: bytes) -> None:
    text = base64url.encode(raw)

    assert re.fullmatch("[A-Za-z0-9_-]*", text)
    assert base64url.decode(text) == raw


def test_reading_is_no_check() -> None:
    assert base64url.decode("Zh") == base64url.decode("Zg")
    assert base64url.decode("Zm9!!!!v") == base64url.decode("Zm9v")


@pytest.mark.parametrize("text", ["Z", "Zm9vY", "Zé", "\ud800"])
def test_what_can_be_no_bytes_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        base64url.decode(text)
