"""The strict gate: what a token must look like before anything else looks at it.

A compact JWS has many spellings: padded or loose base64, members repeated or added, JSON in
UTF-16, five parts instead of three. The JOSE libraries accept some of them even under a good
signature, and every one is room for an attack. We issue exactly one spelling, so we accept
exactly one:

    header . payload . signature     4 KiB in all, ASCII, canonical base64url, none empty
    header                           {"alg": ..., "typ": "at+jwt", "kid": ...}: these and no more
    payload                          a JSON object, as limen.verify.strict_json reads it

Nothing is verified here. The result is called `Unverified` because it may come from anybody. So its
payload is read as JSON by whoever asks for it: a verifier does when the signature holds.
"""

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from limen.verify.errors import InvalidToken
from limen.verify.strict_json import StrictJSONError, loads

# A proxy's usual limit for all headers together is 8 KiB.
MAX_TOKEN_BYTES = 4096

# joserfc stops here too: what we accept, it must accept.
MAX_HEADER_BYTES = 512

# All tokens of one key have the same header, so the last ones are remembered.
HEADERS = 64

_STANDARD = bytes.maketrans(b"-_", b"+/")  # the alphabet of base64; in a token neither occurs
_COMPACT = re.compile(r"[A-Za-z0-9_-]++(?:\.[A-Za-z0-9_-]++){2}")
_HEADER_MEMBERS = frozenset({"alg", "typ", "kid"})


class _Header(NamedTuple):
    algorithm: str
    kid: str
    typ: object


@dataclass(frozen=True, slots=True)
class Unverified:
    """A well-formed token that anybody may have written."""

    algorithm: str
    kid: str
    token: str = field(repr=False)
    signature: bytes = field(repr=False)
    written: bytes = field(repr=False)

    @property
    def payload(self) -> Mapping[str, object]:
        """What is written in it.

        Raises:
            InvalidToken: "malformed": it is no JSON object with one reading only.
        """
        return _object(self.written)

    @property
    def signed(self) -> bytes:
        """The bytes that the signature covers (RFC 7515, section 5.2)."""
        return self.token.rpartition(".")[0].encode("ascii")


def parse(token: str, *, typ: str = "at+jwt") -> Unverified:
    """Take a token apart, if it has the form that limen issues; its payload is not yet read.

    Raises:
        InvalidToken: "wrong_type" if the header's `typ` is another (RFC 8725, section 3.11),
            "malformed" for everything else.
    """
    encoded_header, encoded_payload, encoded_signature = _parts(token)
    signature, written = _decode(encoded_signature), _decode(encoded_payload)
    header = _header(encoded_header)
    if header.typ != typ:
        raise InvalidToken("wrong_type")
    return Unverified(header.algorithm, header.kid, token, signature, written)


def split(token: str) -> tuple[bytes, bytes, bytes]:
    """Return the header, the payload and the signature, decoded.

    Raises:
        InvalidToken: "malformed" if the token is too long, or is not three parts, none empty, of
            canonical base64url (RFC 7515, section 7.1).
    """
    header, payload, signature = _parts(token)
    return _decode(header), _decode(payload), _decode(signature)


def _parts(token: str) -> list[str]:
    if len(token) > MAX_TOKEN_BYTES or not _COMPACT.fullmatch(token):
        raise InvalidToken("malformed")
    parts = token.split(".")
    if len(parts[0]) > MAX_HEADER_BYTES:
        raise InvalidToken("malformed")
    return parts


@lru_cache(maxsize=HEADERS)
def _header(encoded: str) -> _Header:
    header = _object(_decode(encoded))
    algorithm, kid = header.get("alg"), header.get("kid")
    if not header.keys() <= _HEADER_MEMBERS:
        raise InvalidToken("malformed")
    if not isinstance(algorithm, str) or not isinstance(kid, str):
        raise InvalidToken("malformed")
    return _Header(algorithm, kid, header.get("typ"))


def _decode(part: str) -> bytes:
    padded = part.encode("ascii").translate(_STANDARD) + b"=" * (-len(part) % 4)
    try:
        decoded = a2b_base64(padded)
    except ValueError:
        raise InvalidToken("malformed") from None
    if b2a_base64(decoded, newline=False) != padded:
        raise InvalidToken("malformed")
    return decoded


def _object(raw: bytes) -> dict[str, object]:
    try:
        value = loads(raw)
    except StrictJSONError:
        raise InvalidToken("malformed") from None
    if not isinstance(value, dict):
        raise InvalidToken("malformed")
    return value
