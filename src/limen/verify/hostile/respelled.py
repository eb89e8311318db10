"""The valid token in other spellings: what a lenient decoder takes for the same bytes.

Nobody gets in by it who could not before. But a service that refuses ended tokens by their text,
or caches its answers by it, does not know the token again.
"""

from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from limen.verify import base64url
from limen.verify.hostile.attacks import ATTACKS
from limen.verify.hostile.forging import Valid
from limen.verify.hostile.requests import Hostile

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

# (r, n - s) is as good a signature as (r, s): n is the order of the curve's group.
_ORDERS = {
    "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "ES384": int(
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
        "C7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973",
        16,
    ),
    "ES256K": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
}


def tokens(valid: Valid) -> Iterator[Hostile]:
    """Yield the valid token in other spellings."""
    for name, token in _spellings(valid):
        yield Hostile(name, ATTACKS["spelling"], token)
    if valid.algorithm in _ORDERS:
        yield Hostile("(r, n - s)", ATTACKS["ecdsa-twin"], _twin(valid))


def _spellings(valid: Valid) -> Iterator[tuple[str, str]]:
    header, payload, signature = valid.parts
    yield "padded with =", f"{valid.token}="
    yield "padded with ==", f"{valid.token}=="
    yield "padded header", f"{header}=.{payload}.{signature}"
    yield "junk at the end", f"{valid.token}!!!!"
    yield "junk within", f"{header}.{payload}.{signature[:8]}!{signature[8:]}"
    yield "space within", f"{header}.{payload}.{signature[:8]} {signature[8:]}"
    yield "dot at the end", f"{valid.token}."
    yield "dot at the start", f".{valid.token}"
    yield "fourth part", f"{valid.token}.AAAA"
    if unused := _UNUSED_BITS[len(signature) % 4]:
        last = _LETTERS.index(signature[-1])
        yield "unused bits set", valid.token[:-1] + _LETTERS[last ^ unused]
    standard = signature.replace("-", "+").replace("_", "/")
    if standard != signature:
        yield "standard base64", f"{header}.{payload}.{standard}"
    if valid.algorithm.startswith("ES"):
        half = len(valid.signature) // 2
        r, s = valid.signature[:half], valid.signature[half:]
        der = encode_dss_signature(int.from_bytes(r), int.from_bytes(s))
        yield "DER signature", f"{header}.{payload}.{base64url.encode(der)}"


# How many letters the last group has says how many bits of the last one mean nothing.
_UNUSED_BITS = {0: 0, 1: 0, 2: 1, 3: 1}


def _twin(valid: Valid) -> str:
    half = len(valid.signature) // 2
    r, s = valid.signature[:half], int.from_bytes(valid.signature[half:])
    twin = r + (_ORDERS[valid.algorithm] - s).to_bytes(half)
    return ".".join((*valid.parts[:2], base64url.encode(twin)))
