"""J2: our public key, which anybody has, used as an HMAC secret (CVE-2016-5431, CVE-2022-29217)."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.tokens import Signer, b64, hs256, payload_of, reason, signer, verifier

FORMS = [
    (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    (Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    (Encoding.PEM, PublicFormat.PKCS1),
    (Encoding.DER, PublicFormat.PKCS1),
    (Encoding.OpenSSH, PublicFormat.OpenSSH),
    (Encoding.X962, PublicFormat.UncompressedPoint),
    (Encoding.X962, PublicFormat.CompressedPoint),
    (Encoding.Raw, PublicFormat.Raw),
]


def public_bytes(ours: Signer) -> Iterator[bytes]:
    key = ours.public.public_key
    assert isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey)
    for encoding, form in FORMS:
        try:
            yield key.public_bytes(encoding, form)
        except (ValueError, TypeError):
            continue  # this kind of key has no such form
    yield from certificates(key)


def certificates(
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey,
) -> Iterator[bytes]:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "login.example.com")])
    builder = x509.CertificateBuilder(
        name, name, key, 1, datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
    )
    certificate = builder.sign(ec.generate_private_key(ec.SECP256R1()), SHA256())
    yield certificate.public_bytes(Encoding.PEM)
    yield certificate.public_bytes(Encoding.DER)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "Ed25519"])
@pytest.mark.parametrize("claimed", ["HS256", "HS384", "HS512", "own"])
def test_no_form_of_a_public_key_is_a_secret(algorithm: str, claimed: str) -> None:
    ours = signer(algorithm)
    header = ours.header(alg=algorithm if claimed == "own" else claimed)
    signed = ours.token(header, payload_of()).rpartition(".")[0]
    secrets = [s + end for s in public_bytes(ours) for end in (b"", b"\n", b"\r\n")]
    secrets += [s.rstrip(b"\n") for s in secrets]

    answers = {
        reason(verifier(), f"{signed}.{b64(hs256(secret, signed.encode()))}") for secret in secrets
    }

    assert len(secrets) >= 24
    assert answers == {"bad_signature"}
