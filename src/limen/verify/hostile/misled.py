"""Tokens that tell the verifier which key to believe: one inside them, at an address, by a name.

Each is signed by a key of the attacker's own. No address in them leads anywhere: names under
.invalid are reserved to be nobody's (RFC 6761).
"""

import json
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from limen.verify import base64url
from limen.verify.hostile.attacks import ATTACKS
from limen.verify.hostile.forging import Signer, Valid, by_hmac, compact, own
from limen.verify.hostile.requests import Hostile

_NOWHERE = "https://limen-probe.invalid/keys"

# What a kid finds where it is a file name or part of a query, and so verifies with.
_KNOWN_CONTENT = {
    "path to an empty file": ("../../../../../../../../dev/null", b""),
    "absolute path": ("/dev/null", b""),
    "SQL union": ("x' UNION SELECT 'limen-probe'-- ", b"limen-probe"),
}

_ODD_KIDS: dict[str, object] = {
    "empty": "",
    "with NUL": "\0",
    "a quote": "'",
    "prototype": "__proto__",
    "null": None,
    "number": 0,
    "list": [],
    "object": {},
    "2 KB": "k" * 2000,
}


def tokens(valid: Valid) -> Iterator[Hostile]:
    """Yield tokens that mislead a verifier which asks the token for its key."""
    for attack, forge in (
        ("embedded-key", _with_own_key_inside),
        ("key-url", _with_own_key_elsewhere),
        ("kid-injection", _with_odd_kids),
    ):
        for name, token in forge(valid):
            yield Hostile(name, ATTACKS[attack], token)


def _with_own_key_inside(valid: Valid) -> Iterator[tuple[str, str]]:
    key = _own_pair(valid)
    header = valid.header_for(key.algorithm)
    yield "jwk, same kid", compact({**header, "jwk": key.public}, valid.payload, key.sign)
    strange = {**header, "kid": "limen-probe", "jwk": {**key.public, "kid": "limen-probe"}}
    yield "jwk, other kid", compact(strange, valid.payload, key.sign)
    nameless = {name: value for name, value in strange.items() if name != "kid"}
    yield "jwk, no kid", compact(nameless, valid.payload, key.sign)
    chain = {**header, "x5c": [_certificate(key.key.private_key)]}
    yield "x5c, self-signed", compact(chain, valid.payload, key.sign)


def _with_own_key_elsewhere(valid: Valid) -> Iterator[tuple[str, str]]:
    key = _own_pair(valid)
    header = {**valid.header_for(key.algorithm), "kid": "limen-probe"}
    keys = json.dumps({"keys": [{**key.public, "kid": "limen-probe"}]}).encode()
    inside = f"data:application/json;base64,{base64url.encode(keys)}"
    for name, member in (
        ("jku nowhere", {"jku": _NOWHERE}),
        ("x5u nowhere", {"x5u": _NOWHERE}),
        ("jku that is a file", {"jku": "file:///dev/null"}),
        ("jku that holds the keys", {"jku": inside}),
    ):
        yield name, compact({**header, **member}, valid.payload, key.sign)


def _with_odd_kids(valid: Valid) -> Iterator[tuple[str, str]]:
    for name, (kid, content) in _KNOWN_CONTENT.items():
        header = {**valid.header_for("HS256"), "kid": kid}
        yield name, compact(header, valid.payload, by_hmac(content))
    key = own(valid.algorithm)
    for name, odd in _ODD_KIDS.items():
        header = {**valid.header_for(key.algorithm), "kid": odd}
        yield name, compact(header, valid.payload, key.sign)


def _own_pair(valid: Valid) -> Signer:
    return own("ES256" if valid.algorithm.startswith("HS") else valid.algorithm)


def _certificate(key: object) -> str:
    """Return a certificate of the key, by the key, as x5c holds it."""
    if not isinstance(
        key,
        rsa.RSAPrivateKey
        | ec.EllipticCurvePrivateKey
        | ed25519.Ed25519PrivateKey
        | ed448.Ed448PrivateKey,
    ):
        raise TypeError("This kind of key is in no certificate.")
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "limen-probe.invalid")])
    start = datetime.now(UTC) - timedelta(days=1)
    end = start + timedelta(days=365)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, end)
    is_eddsa = isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    certificate = builder.sign(key, None if is_eddsa else SHA256())
    return b64encode(certificate.public_bytes(Encoding.DER)).decode()
