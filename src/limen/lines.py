"""Lines of a file that anybody may have made: however long they are, memory stays as it is."""

from collections.abc import Iterator
from typing import BinaryIO

LONGEST = 64 * 1024  # bytes; of a longer line only these are looked at

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines without their ends, and without the mark that Windows puts first."""
    is_first = True
    while line := file.readline(LONGEST):
        piece = line
        while len(piece) == LONGEST and not piece.endswith(b"\n"):
            piece = file.readline(LONGEST)
        if is_first:
            line, is_first = line.removeprefix(_BYTE_ORDER_MARK), False
        yield line.removesuffix(b"\n").removesuffix(b"\r")
