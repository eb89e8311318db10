"""A key verifies by its one algorithm, and a key set takes no odd key."""

import warnings
from collections.abc import Callable, Mapping

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from limen.verify.keyset import ALGORITHMS, KeySet, VerificationKey
from tests.tokens import b64, signer

PUBLIC = ("RS256", "ES256", "Ed25519")
RSA, EC, OKP = (signer(algorithm).jwk for algorithm in PUBLIC)
SECRET = {"kty": "oct", "alg": "HS256", "kid": "HS256-key", "k": b64(bytes(32))}


def without(jwk: Mapping[str, object], name: str) -> dict[str, object]:
    return {member: value for member, value in jwk.items() if member != name}


def small_rsa(bits: int) -> dict[str, object]:
    numbers = rsa.generate_private_key(65537, bits).public_key().public_numbers()
    return RSA | {"n": b64(numbers.n.to_bytes(bits // 8))}


def as_text(number: int) -> str:
    return b64(number.to_bytes((number.bit_length() + 7) // 8))


REFUSED: dict[str, tuple[object, str]] = {
    "a number": (1, "not an object"),
    "null": (None, "not an object"),
    "a secret": (SECRET, "holds a secret"),
    "an empty secret": (SECRET | {"k": ""}, "holds a secret"),
    "a secret left out": (without(SECRET, "k"), "holds a secret"),
    "a private exponent": (RSA | {"d": "AQAB"}, "holds a secret"),
    "a private scalar": (EC | {"d": "AQAB"}, "holds a secret"),
    "a secret member on an RSA key": (RSA | {"k": "AQAB"}, "holds a secret"),
    "no kid": (without(RSA, "kid"), "kid"),
    "an empty kid": (RSA | {"kid": ""}, "kid"),
    "kid null": (RSA | {"kid": None}, "kid"),
    "kid a list": (RSA | {"kid": ["a"]}, "kid"),
    "no alg": (without(RSA, "alg"), "alg"),
    "alg a list": (RSA | {"alg": ["RS256"]}, "alg"),
    "alg none": (RSA | {"alg": "none"}, "alg"),
    "alg PS256": (RSA | {"alg": "PS256"}, "alg"),
    "alg RS512": (RSA | {"alg": "RS512"}, "alg"),
    "alg HS256 on an RSA key": (RSA | {"alg": "HS256"}, "alg"),
    "alg EdDSA": (OKP | {"alg": "EdDSA"}, "alg"),
    "alg in lower case": (RSA | {"alg": "rs256"}, "alg"),
    "alg of another kty": (RSA | {"alg": "ES256"}, "kty or crv"),
    "another curve": (EC | {"crv": "P-384"}, "kty or crv"),
    "X25519": (OKP | {"crv": "X25519"}, "kty or crv"),
    "no kty": (without(RSA, "kty"), "kty or crv"),
    "no modulus": (without(RSA, "n"), "n is not base64url"),
    "a padded modulus": (RSA | {"n": "AQAB=="}, "n is not base64url"),
    "a number as modulus": (RSA | {"n": 3}, "n is not base64url"),
    "for encryption": (RSA | {"use": "enc"}, "use"),
    "use null": (RSA | {"use": None}, "use"),
    "key_ops encrypt": (RSA | {"key_ops": ["encrypt"]}, "key_ops"),
    "key_ops empty": (RSA | {"key_ops": []}, "key_ops"),
    "key_ops a string": (RSA | {"key_ops": "verify"}, "key_ops"),
    "RSA of 1024 bits": (small_rsa(1024), "unsound.*modulus"),
    "RSA of 2047 bits": (RSA | {"n": as_text(2**2046 + 1)}, "unsound.*modulus"),
    "RSA of 8192 bits": (RSA | {"n": as_text(2**8191 + 1)}, "unsound.*modulus"),
    "an even modulus": (RSA | {"n": as_text(2**2047)}, "unsound.*modulus"),
    "exponent 1": (RSA | {"e": "AQ"}, "unsound.*exponent"),
    "exponent 3": (RSA | {"e": "Aw"}, "unsound.*exponent"),
    "an even exponent": (RSA | {"e": as_text(2**16 + 2)}, "unsound.*exponent"),
    "a huge exponent": (RSA | {"e": as_text(2**256 + 1)}, "unsound.*exponent"),
    # A power of 65537, as the flaw leaves it behind modulo every small prime.
    "ROCA": (RSA | {"n": as_text(65537**128)}, "unsound.*ROCA"),
    "a point off the curve": (EC | {"x": EC["y"]}, "unsound"),
    "a short Ed25519 key": (OKP | {"x": "AQAB"}, "unsound"),
    "an impossible base64 length": (OKP | {"x": "A"}, "unsound"),
}


@pytest.mark.parametrize(("jwk", "fault"), REFUSED.values(), ids=REFUSED.keys())
def test_an_odd_key_refuses_the_document_and_its_fault_is_named(jwk: object, fault: str) -> None:
    with pytest.raises(ValueError, match=r"^keys\[1\].*" + fault):
        KeySet.from_jwks({"keys": [OKP | {"kid": "sound"}, jwk]})


@pytest.mark.parametrize(
    "document",
    [{}, {"keys": None}, {"keys": []}, {"keys": {}}, pytest.param(RSA, id="a key")],
    ids=str,
)
def test_a_document_without_keys_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="'keys'"):
        KeySet.from_jwks(document)


def test_two_keys_never_share_a_kid() -> None:
    with pytest.raises(ValueError, match="same kid"):
        KeySet.from_jwks({"keys": [RSA | {"kid": "k"}, OKP | {"kid": "k"}]})
    with pytest.raises(ValueError, match="same kid"):
        KeySet([signer("RS256").key, signer("RS256").key])


@pytest.mark.parametrize(
    "extra", [{}, {"use": "sig"}, {"key_ops": ["verify"]}, {"x5t": "ignored"}], ids=str
)
def test_a_published_key_verifies_what_its_owner_signed(extra: dict[str, object]) -> None:
    keys = KeySet.from_jwks({"keys": [jwk | extra for jwk in (RSA, EC, OKP)]})

    assert len(keys) == 3
    for algorithm in PUBLIC:
        key = keys.find(f"{algorithm}-key")
        assert key is not None
        assert key.algorithm == algorithm
        assert key.verifies(b"signed", signer(algorithm).sign(b"signed"))


def test_an_unknown_kid_finds_nothing() -> None:
    keys = KeySet([signer("RS256").key])

    assert [keys.find(kid) for kid in ("", "rs256-key", "RS256-key ", "k" * 10_000)] == [None] * 4


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_verifies_its_own_signature_and_no_other(algorithm: str) -> None:
    key, good = signer(algorithm).key, signer(algorithm).sign(b"signed")
    flipped = bytes([good[0] ^ 1]) + good[1:]
    others = [signer(other).sign(b"signed") for other in ALGORITHMS if other != algorithm]

    assert key.verifies(b"signed", good)
    assert not key.verifies(b"signed.", good)
    for bad in (b"", b"\0", flipped, good + b"\0", good[:-1], b"\0" * len(good), *others):
        assert not key.verifies(b"signed", bad)


MISFITS: dict[str, tuple[str, Callable[[], Key]]] = {
    "RSA as HS256": ("HS256", lambda: signer("RS256").public),
    "RSA as ES256": ("ES256", lambda: signer("RS256").public),
    "P-384 as ES256": ("ES256", lambda: ECKey.import_key(ec.generate_private_key(ec.SECP384R1()))),
    "Ed448 as Ed25519": ("Ed25519", lambda: OKPKey.generate_key("Ed448")),
    "X25519 as Ed25519": ("Ed25519", lambda: OKPKey.generate_key("X25519")),
    "secret as RS256": ("RS256", lambda: OctKey.import_key(bytes(32))),
    "secret of 31 bytes": ("HS256", lambda: OctKey.import_key(bytes(31))),
    "key of another alg": ("RS256", lambda: RSAKey.import_key(RSA | {"alg": "PS256"})),  # type: ignore[arg-type]
    "key for encryption": ("RS256", lambda: RSAKey.import_key(RSA | {"use": "enc"})),  # type: ignore[arg-type]
    "none": ("none", lambda: OctKey.import_key(bytes(32))),
    "PS256": ("PS256", lambda: RSAKey.import_key(without(RSA, "alg"))),  # type: ignore[arg-type]
    "EdDSA": ("EdDSA", lambda: signer("Ed25519").public),
}


@pytest.mark.parametrize(("algorithm", "key"), MISFITS.values(), ids=MISFITS.keys())
def test_a_key_fits_its_algorithm_or_is_none(algorithm: str, key: Callable[[], Key]) -> None:
    with pytest.raises(ValueError, match=r"algorithm|cannot be used|HS256 secret"):
        VerificationKey("k", algorithm, key())


def test_a_small_rsa_key_is_refused_however_it_arrives() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small = RSAKey.generate_key(1024)

    with pytest.raises(ValueError, match="2048"):
        VerificationKey("k", "RS256", small)


def test_a_key_does_not_show_in_a_repr() -> None:
    assert repr(signer("HS256").key) == "VerificationKey(kid='HS256-key', algorithm='HS256')"
