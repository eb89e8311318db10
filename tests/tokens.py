"""Tokens for tests: correctly signed, whatever they say.

Signing here is done on raw bytes, with cryptography's keys alone, so that a test can put a good
signature under anything: duplicate members, UTF-16, a header that lies about its algorithm.
"""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from limen.verify.errors import InvalidToken
from limen.verify.keyset import ALGORITHMS, KeySet, VerificationKey
from limen.verify.revocations import Revocations
from limen.verify.verifier import Verifier

ISSUER = "https://login.example.com"
AUDIENCE = "https://api.example.com"
NOW = 1_800_000_000
HS256_SECRET = bytes(range(100, 132))

Document = Mapping[str, object] | bytes


@dataclass(frozen=True, slots=True)
class Signer:
    """One signing key; `sign` is the bare signature over bytes."""

    algorithm: str
    kid: str
    sign: Callable[[bytes], bytes]
    public: Key

    @property
    def key(self) -> VerificationKey:
        return VerificationKey(self.kid, self.algorithm, self.public)

    @property
    def jwk(self) -> dict[str, object]:
        return {**self.public.as_dict(private=False), "kid": self.kid, "alg": self.algorithm}

    def header(self, **changes: object) -> dict[str, object]:
        return {"alg": self.algorithm, "typ": "at+jwt", "kid": self.kid} | changes

    def token(self, header: Document | None = None, payload: Document | None = None) -> str:
        """A token over these documents; without them, a good one. Bytes are signed as they are."""
        parts = (
            self.header() if header is None else header,
            payload_of() if payload is None else payload,
        )
        signed = b".".join(b64(_bytes(part)).encode() for part in parts)
        return signed.decode() + "." + b64(self.sign(signed))


@cache
def signer(algorithm: str, kid: str | None = None) -> Signer:
    """The signer of this algorithm and kid: made once for a whole test run."""
    sign, public = _MAKERS[algorithm]()
    return Signer(algorithm, kid or f"{algorithm}-key", sign, public)


def payload_of(**changes: object) -> dict[str, object]:
    """The payload of a good access token issued at `NOW`, with changes."""
    good: dict[str, object] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "u-1",
        "user_id": "u-1",
        "sid": "s-1",
        "jti": "t-1",
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 1800,
        "type": "access",
        "cv": 1,
        "scope": "",
    }
    return good | changes


def payload_without(name: str, **changes: object) -> dict[str, object]:
    """The same, less one claim."""
    payload = payload_of(**changes)
    del payload[name]
    return payload


def verifier(*, leeway: int = 0, max_lifetime: int = 86400, now: float = NOW) -> Verifier:
    """A verifier that knows every signer of `signer(algorithm)`, and of nothing revoked."""
    revocations = Revocations(monotonic=lambda: 0.0)
    revocations.synced()
    return Verifier(
        ISSUER,
        AUDIENCE,
        keys=KeySet(signer(algorithm).key for algorithm in ALGORITHMS),
        revocations=revocations,
        leeway=leeway,
        max_lifetime=max_lifetime,
        now=lambda: now,
    )


def reason(checker: Verifier, token: str) -> str:
    """Why the verifier refuses the token, or "accepted". Any other exception is a failure."""
    try:
        checker.check(token)
    except InvalidToken as refusal:
        return refusal.reason
    return "accepted"


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def hs256(secret: bytes, signed: bytes) -> bytes:
    return hmac.digest(secret, signed, "sha256")


def _bytes(document: Document) -> bytes:
    return document if isinstance(document, bytes) else json.dumps(document).encode()


def _make_rsa() -> tuple[Callable[[bytes], bytes], Key]:
    private = rsa.generate_private_key(65537, 2048)
    public = RSAKey.import_key(private.public_key())
    return lambda signed: private.sign(signed, padding.PKCS1v15(), SHA256()), public


def _make_ec() -> tuple[Callable[[bytes], bytes], Key]:
    private = ec.generate_private_key(ec.SECP256R1())

    def sign(signed: bytes) -> bytes:
        r, s = utils.decode_dss_signature(private.sign(signed, ec.ECDSA(SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)

    return sign, ECKey.import_key(private.public_key())


def _make_ed25519() -> tuple[Callable[[bytes], bytes], Key]:
    private = ed25519.Ed25519PrivateKey.generate()
    return private.sign, OKPKey.import_key(private.public_key())


def _make_hs256() -> tuple[Callable[[bytes], bytes], Key]:
    return lambda signed: hs256(HS256_SECRET, signed), OctKey.import_key(HS256_SECRET)


_MAKERS = {"RS256": _make_rsa, "ES256": _make_ec, "Ed25519": _make_ed25519, "HS256": _make_hs256}
