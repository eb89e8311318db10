"""JSON with one reading only.

Python's parser is generous: of two equal member names the last wins, NaN and 1e999 are numbers,
half a surrogate pair is a string, UTF-16 is guessed, and brackets nested deep enough end in a
RecursionError. Each of these lets two programs read one document in two ways, or stops one of
them, and a token or a password must never depend on who reads it. So `loads` gives back only
what every reader agrees on (RFC 8259, RFC 7493) and refuses the rest.

The depth is counted before the parser runs, so the parser never sees what could exhaust it.
"""

import json
import math
import re
from typing import NoReturn

MAX_DEPTH = 16

# What every database column and every other language can hold.
_INTEGERS = range(-(2**63), 2**63)
_LONGEST_INTEGER = len(str(-(2**63)))

# A string, to be skipped over, or one bracket. Possessive and with an optional closing quote: on
# hostile input too, each byte is looked at once.
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)


class StrictJSONError(ValueError):
    """Not JSON, or JSON that has more than one reading. The message never repeats the input."""


def loads(raw: bytes, *, max_depth: int = MAX_DEPTH) -> object:
    """Parse UTF-8 JSON whose arrays and objects nest at most `max_depth` deep.

    Raises:
        StrictJSONError: The input is not UTF-8, starts with a byte order mark, is not JSON, or has
            duplicate member names, numbers beyond float or 64-bit integers, lone surrogates, or
            too deep a nesting.
    """
    _check_depth(raw, max_depth)
    try:
        value: object = _DECODER.decode(raw.decode("utf-8"))
        if b"\\u" in raw:  # UTF-8 itself holds no surrogates: only an escape can
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError:
        raise StrictJSONError("The text is not UTF-8.") from None
    except UnicodeEncodeError:
        raise StrictJSONError("A string holds half a surrogate pair.") from None
    except json.JSONDecodeError:
        raise StrictJSONError("The text is not JSON.") from None
    return value


def _check_depth(raw: bytes, max_depth: int) -> None:
    if raw.count(b"[") + raw.count(b"{") <= max_depth:
        return
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(raw):
        if token[0] in b"[{":
            depth += 1
        elif token[0] in b"]}":
            depth -= 1
        if depth > max_depth:
            raise StrictJSONError("The nesting is too deep.")


def _object(members: list[tuple[str, object]]) -> dict[str, object]:
    read = dict(members)
    if len(read) != len(members):
        raise StrictJSONError("A member name occurs twice.")
    return read


def _integer(digits: str) -> int:
    if len(digits) <= _LONGEST_INTEGER and (value := int(digits)) in _INTEGERS:
        return value
    raise StrictJSONError("An integer does not fit into 64 bits.")


def _float(digits: str) -> float:
    if math.isfinite(value := float(digits)):
        return value
    raise StrictJSONError("A number is too large.")


def _no_number(_: str) -> NoReturn:
    raise StrictJSONError("NaN and Infinity are not JSON.")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_integer,
    parse_float=_float,
    parse_constant=_no_number,
)
