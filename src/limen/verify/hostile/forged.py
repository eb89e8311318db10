"""Tokens that the issuer never signed.

They say what the valid token says, for the same user, so that a service which lets one in has
been deceived by its signature and by nothing else.
"""

import json
from collections.abc import Iterator, Mapping

from joserfc import jwe
from joserfc.jwk import OKPKey, RSAKey

from limen.verify import base64url
from limen.verify.hostile.attacks import ATTACKS
from limen.verify.hostile.forging import (
    Valid,
    by_hmac,
    compact,
    imported,
    own,
    public_forms,
    unsigned,
)
from limen.verify.hostile.requests import Hostile

_NONE = ("none", "None", "NONE", "nOnE")

# Empty, and from the tutorials of several frameworks. Attackers try them first.
_SECRETS = {
    "empty": b"",
    "secret": b"secret",
    "changeme": b"changeme",
    "jwt.io, old": b"your-256-bit-secret",
    "jwt.io": b"a-string-secret-at-least-256-bits-long",
    "FastAPI's tutorial": b"09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "Supabase's": b"super-secret-jwt-token-with-at-least-32-characters-long",
}


def tokens(valid: Valid) -> Iterator[Hostile]:
    """Yield what can be forged from the valid token alone."""
    for attack, forge in (
        ("alg-none", _without_algorithm),
        ("unverified-signature", _without_signature),
        ("weak-secret", _with_known_secrets),
    ):
        for name, token in forge(valid):
            yield Hostile(name, ATTACKS[attack], token)


def with_public_key(valid: Valid, jwk: Mapping[str, object]) -> Iterator[Hostile]:
    """Yield what can be forged with the issuer's published key.

    Raises:
        ValueError: It is no public key.
    """
    for form, secret in public_forms(jwk):
        for algorithm in ("HS256", "HS512") if form == "PEM SPKI" else ("HS256",):
            header = {**valid.header, "alg": algorithm}
            token = compact(header, valid.payload, by_hmac(secret, algorithm))
            yield Hostile(f"{form}, {algorithm}", ATTACKS["public-key-as-secret"], token)


def encrypted(valid: Valid, jwk: Mapping[str, object]) -> Iterator[Hostile]:
    """Yield what can be encrypted for the issuer's published key: anybody can.

    Raises:
        ValueError: It is no public key, or one that nothing can be encrypted for.
    """
    purpose = ("use", "key_ops", "alg")  # signatures, it says; a forger does not mind
    key = imported({name: value for name, value in jwk.items() if name not in purpose})
    if isinstance(key, OKPKey):
        raise ValueError("Nothing can be encrypted for a key of this kind.")  # noqa: TRY004
    way = "RSA-OAEP" if isinstance(key, RSAKey) else "ECDH-ES"
    header = {"alg": way, "enc": "A128GCM", "kid": valid.header.get("kid"), "cty": "JWT"}
    plain = f"{unsigned({'alg': 'none'}, valid.payload)}."
    for name, content in (("claims", json.dumps(valid.payload)), ("unsigned token", plain)):
        token = jwe.encrypt_compact(header, content.encode(), key)
        yield Hostile(f"{name} inside", ATTACKS["encrypted"], token)


def _without_algorithm(valid: Valid) -> Iterator[tuple[str, str]]:
    for spelling in _NONE:
        signed = unsigned({**valid.header, "alg": spelling}, valid.payload)
        yield f"{spelling}, empty signature", f"{signed}."
        yield f"{spelling}, no third part", signed
        yield f"{spelling}, signature kept", f"{signed}.{valid.parts[2]}"
    yield "'', empty signature", f"{unsigned({**valid.header, 'alg': ''}, valid.payload)}."
    header = {name: value for name, value in valid.header.items() if name != "alg"}
    yield "no alg, empty signature", f"{unsigned(header, valid.payload)}."


def _without_signature(valid: Valid) -> Iterator[tuple[str, str]]:
    header, payload, signature = valid.parts
    altered = base64url.encode(json.dumps({**valid.payload, "limen_probe": True}).encode())
    size = len(valid.signature)
    yield "payload altered", f"{header}.{altered}.{signature}"
    yield "signature empty", f"{header}.{payload}."
    yield "signature left out", f"{header}.{payload}"
    yield "signature of zeros", f"{header}.{payload}.{base64url.encode(bytes(size))}"
    yield "one bit changed", f"{header}.{payload}.{base64url.encode(_flipped(valid.signature))}"
    key = own(valid.algorithm)
    if valid.algorithm.startswith("ES"):
        one = (1).to_bytes(size // 2)
        yield "r = s = 1", f"{header}.{payload}.{base64url.encode(one + one)}"
    yield "another key, same kid", compact(valid.header_for(key.algorithm), valid.payload, key.sign)


def _with_known_secrets(valid: Valid) -> Iterator[tuple[str, str]]:
    header = valid.header_for("HS256")
    for name, secret in _SECRETS.items():
        yield name, compact(header, valid.payload, by_hmac(secret))


def _flipped(signature: bytes) -> bytes:
    return bytes([signature[0] ^ 1]) + signature[1:] if signature else b"\1"
