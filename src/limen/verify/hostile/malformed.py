"""What is no token of the issuer's, and does not look like one: to be refused, never an error."""

import json
from collections.abc import Iterator

from limen.verify import base64url
from limen.verify.hostile.attacks import ATTACKS
from limen.verify.hostile.forging import Valid, compact, own
from limen.verify.hostile.requests import Hostile

_ODD_HEADERS: dict[str, dict[str, object]] = {
    "crit unknown": {"crit": ["limen-probe"], "limen-probe": True},
    "crit empty": {"crit": []},
    "crit a number": {"crit": 5},
    "b64 false": {"b64": False, "crit": ["b64"]},
    "zip": {"zip": "DEF"},
    "typ a list": {"typ": [1]},
    "alg a list": {"alg": ["none"]},
    "alg null": {"alg": None},
    "alg unknown": {"alg": "limen-probe"},
}

# Five parts, as an encrypted token has.
_ENCRYPTED_HEADER = b'{"alg":"dir","enc":"A128GCM"}'


def tokens(valid: Valid) -> Iterator[Hostile]:
    """Yield odd forms, all without the issuer's signature or around it."""
    for attack, forge in (
        ("malformed", _malformed),
        ("json-serialisation", _as_json),
        ("oversized", _oversized),
    ):
        for name, token in forge(valid):
            yield Hostile(name, ATTACKS[attack], token)


def _malformed(valid: Valid) -> Iterator[tuple[str, str]]:
    key = own(valid.algorithm)
    for name, members in _ODD_HEADERS.items():
        header = {**valid.header_for(key.algorithm), **members}
        yield name, compact(header, valid.payload, key.sign)
    header_part, _, signature = valid.parts
    yield "not a token", "limen-probe"
    yield "null", "null"
    yield "only dots", ".."
    yield "no payload", f"{header_part}..{signature}"
    yield "no JSON", compact(b"{", b"}", key.sign)
    yield "not UTF-8", compact(b"\xff\xfe", b"\x80", key.sign)
    yield "payload a list", compact(valid.header_for(key.algorithm), b"[]", key.sign)
    yield "nested deeply", compact(b'{"a":' + b"[" * 1500 + b"]" * 1500 + b"}", b"{}", key.sign)
    yield (
        "encrypted, of zeros",
        f"{base64url.encode(_ENCRYPTED_HEADER)}..{'A' * 16}.AAAA.{'A' * 22}",
    )


def _as_json(valid: Valid) -> Iterator[tuple[str, str]]:
    header, payload, signature = valid.parts
    altered = base64url.encode(json.dumps({**valid.payload, "limen_probe": True}).encode())
    flat = {"protected": header, "payload": payload, "signature": signature}
    several = [{"protected": header, "signature": signature}]
    yield "two payloads", json.dumps({f"  {header}.{altered}.": "", **flat})
    yield "flattened", json.dumps(flat)
    yield "general", json.dumps({"payload": payload, "signatures": several})
    yield "in quotes", f'"{valid.token}"'


def _oversized(valid: Valid) -> Iterator[tuple[str, str]]:
    key = own(valid.algorithm)
    header = valid.header_for(key.algorithm)
    for kib in (6, 48):
        payload = {**valid.payload, "limen_probe": "A" * (kib * 768)}
        yield f"{kib} KiB", compact(header, payload, key.sign)
