"""Lines of any file: none is too long, and each keeps its number."""

import io

import pytest

from limen.lines import LONGEST, lines_of


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"a", [b"a"]),
        (b"a\nb\r\nc\n", [b"a", b"b", b"c"]),
        (b"\n\n", [b"", b""]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb", [b"a", b"\xef\xbb\xbfb"]),
        (b" a \t\n", [b" a \t"]),
        (b"\xff\0\n", [b"\xff\0"]),
    ],
)
def test_lines_lose_their_ends_and_nothing_else(content: bytes, lines: list[bytes]) -> None:
    assert list(lines_of(io.BytesIO(content))) == lines


@pytest.mark.parametrize("more", [-2, -1, 0, 1, LONGEST - 1, LONGEST, 10 * LONGEST])
def test_of_a_long_line_the_beginning_is_looked_at_and_the_next_keeps_its_place(more: int) -> None:
    length = LONGEST + more
    first, second = lines_of(io.BytesIO(b"x" * length + b"\nnext\n"))

    assert first == b"x" * min(length, LONGEST)
    assert second == b"next"
