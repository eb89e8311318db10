"""Tools to make tokens that nobody should believe.

A forger has the valid token of somebody, the keys that are published, and keys of his own. He has
not the issuer's private key, and nothing here needs it; whoever does have one, for a test issuer,
can let it sign whatever he likes (`Signer`).
"""

import hmac
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.errors import JoseError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import ECKey, JWKRegistry, Key, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from limen.verify import base64url
from limen.verify.strict_json import loads

Document = Mapping[str, object] | bytes
Sign = Callable[[bytes], bytes]

# The older name of a family; tokens that say it are signed with Ed25519 (RFC 9864).
_EDDSA = {"EdDSA": "Ed25519"}

_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "ES256K": "secp256k1"}

# In each of these forms some library once took a public key for an HMAC secret.
_FORMS = (
    ("PEM SPKI", Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    ("DER SPKI", Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    ("PEM PKCS#1", Encoding.PEM, PublicFormat.PKCS1),
    ("DER PKCS#1", Encoding.DER, PublicFormat.PKCS1),
    ("OpenSSH", Encoding.OpenSSH, PublicFormat.OpenSSH),
    ("point", Encoding.X962, PublicFormat.UncompressedPoint),
    ("raw", Encoding.Raw, PublicFormat.Raw),
)


@dataclass(frozen=True, slots=True)
class Valid:
    """A compact JWS, taken apart."""

    header: Mapping[str, object]
    payload: Mapping[str, object] = field(repr=False)
    token: str = field(repr=False)

    @property
    def parts(self) -> tuple[str, str, str]:
        header, payload, signature = self.token.split(".")
        return header, payload, signature

    @property
    def signature(self) -> bytes:
        return base64url.decode(self.parts[2])

    @property
    def algorithm(self) -> str:
        return str(self.header.get("alg"))

    def header_for(self, algorithm: str) -> dict[str, object]:
        """Return its header with another algorithm."""
        return {**self.header, "alg": algorithm}


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key and the algorithm it signs with; the secret of HS256 is one too."""

    algorithm: str
    key: Key = field(repr=False)

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any], algorithm: str) -> Self:
        """Read a private JWK.

        Raises:
            ValueError: It is none, or not for this algorithm.
        """
        try:
            signer = cls(algorithm, _key(jwk))
            signer._model.check_key(signer.key)  # joserfc's own errors are of many kinds
            signer.sign(b"")
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise ValueError(f"The key is not a private JWK for {algorithm}.") from error
        return signer

    def sign(self, signed: bytes) -> bytes:
        return self._model.sign(signed, self.key)

    def verifies(self, signed: bytes, signature: bytes) -> bool:
        """Say whether this key made that signature."""
        return self._model.verify(signed, signature, self.key)

    @property
    def _model(self) -> JWSAlgModel:
        name = _EDDSA.get(self.algorithm, self.algorithm)
        return JWSRegistry(algorithms=[name]).get_alg(name)

    @property
    def public(self) -> dict[str, object]:
        return {**self.key.as_dict(private=False)}


def read(token: str) -> Valid:
    """Take a token apart.

    Raises:
        ValueError: It is no compact JWS.
    """
    try:
        header, payload, _ = (base64url.decode(part) for part in token.split("."))
        read_header, read_payload = loads(header), loads(payload)
    except ValueError:
        raise ValueError("This is no JWT of three parts: there is nothing to forge.") from None
    if not isinstance(read_header, dict) or not isinstance(read_payload, dict):
        raise ValueError("This is no JWT: its header and payload must be JSON objects.")  # noqa: TRY004
    return Valid(read_header, read_payload, token)


def compact(header: Document, payload: Document, sign: Sign) -> str:
    """Return the token over these documents. Bytes are signed as they are."""
    signed = unsigned(header, payload)
    return f"{signed}.{base64url.encode(sign(signed.encode()))}"


def unsigned(header: Document, payload: Document) -> str:
    """Return the two parts that a signature covers."""
    return ".".join(base64url.encode(_bytes(part)) for part in (header, payload))


def by_hmac(secret: bytes, algorithm: str = "HS256") -> Sign:
    digest = f"sha{algorithm[2:]}"
    return lambda signed: hmac.digest(secret, signed, digest)


@cache
def own(algorithm: str) -> Signer:
    """Return a key of one's own, of the kind that this algorithm takes."""
    if algorithm.startswith("HS"):
        return Signer(algorithm, OctKey.generate_key(512))
    if algorithm in _CURVES:
        return Signer(algorithm, ECKey.generate_key(_CURVES[algorithm]))
    if algorithm in ("EdDSA", "Ed25519", "Ed448"):
        return Signer(
            algorithm, OKPKey.generate_key("Ed448" if algorithm == "Ed448" else "Ed25519")
        )
    known = algorithm if algorithm[:2] in ("RS", "PS") else "RS256"
    return Signer(known, RSAKey.generate_key(2048))


def published(jwks: Mapping[str, object], kid: object) -> Mapping[str, object] | None:
    """Return the published key of that kid, or the only one there is."""
    listed = jwks.get("keys")
    keys = [key for key in listed if isinstance(key, dict)] if isinstance(listed, list) else []
    named = [key for key in keys if key.get("kid") == kid]
    return next(iter(named or (keys if len(keys) == 1 else [])), None)


def public_forms(jwk: Mapping[str, object]) -> Iterator[tuple[str, bytes]]:
    """Yield the public key in every form in which it was ever taken for a secret.

    Raises:
        ValueError: The JWK is no public key.
    """
    key = imported(jwk).public_key
    if not isinstance(
        key,
        rsa.RSAPublicKey
        | ec.EllipticCurvePublicKey
        | ed25519.Ed25519PublicKey
        | ed448.Ed448PublicKey,
    ):
        raise ValueError("The published key is no public key.")  # noqa: TRY004  a wrong value
    for name, encoding, form in _FORMS:
        try:
            raw = key.public_bytes(encoding, form)
        except (ValueError, TypeError):
            continue  # this kind of key has no such form
        yield name, raw
        if encoding is Encoding.PEM:
            yield f"{name}, no newline", raw.rstrip(b"\n")
            yield f"{name}, CRLF", raw.replace(b"\n", b"\r\n")
    yield "JWK", json.dumps({**jwk}).encode()
    yield "JWK, compact", json.dumps({**jwk}, separators=(",", ":")).encode()
    number = jwk.get("n") or jwk.get("x")
    if isinstance(number, str):
        yield "JWK's number", number.encode()
        yield "JWK's number, decoded", base64url.decode(number)


def imported(jwk: Mapping[str, Any]) -> RSAKey | ECKey | OKPKey:
    """Read a public JWK.

    Raises:
        ValueError: It is none.
    """
    try:
        key = _key(jwk)
    except (JoseError, ValueError, TypeError, KeyError):
        raise ValueError("The published key cannot be read.") from None
    if not isinstance(key, RSAKey | ECKey | OKPKey):
        raise ValueError("The published key is no public key.")  # noqa: TRY004  a wrong value
    return key


def _bytes(document: Document) -> bytes:
    return document if isinstance(document, bytes) else json.dumps(document).encode()


def _key(jwk: Mapping[str, Any]) -> Key:
    with warnings.catch_warnings():  # a weak key is what the probe is looking for
        warnings.simplefilter("ignore")
        return JWKRegistry.import_key({**jwk})
