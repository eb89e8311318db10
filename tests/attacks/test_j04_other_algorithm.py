"""J4: a key used for an algorithm that it is not bound to (PyJWT CVE-2026-48523)."""

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from joserfc.jwk import RSAKey

from limen.verify.keyset import KeySet, VerificationKey
from limen.verify.revocations import Revocations
from limen.verify.verifier import Verifier
from tests.tokens import AUDIENCE, ISSUER, NOW, Signer, reason, signer, verifier

PRIVATE = rsa.generate_private_key(65537, 2048)
HASHES: dict[str, HashAlgorithm] = {"256": SHA256(), "384": SHA384(), "512": SHA512()}


def as_algorithm(name: str) -> Signer:
    digest = HASHES[name[2:]]
    scheme = padding.PKCS1v15()
    pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
    return Signer(
        name,
        "k",
        lambda signed: PRIVATE.sign(signed, pss if name.startswith("PS") else scheme, digest),
        RSAKey.import_key(PRIVATE.public_key()),
    )


@pytest.fixture
def only_rs256() -> Verifier:
    revocations = Revocations(monotonic=lambda: 0.0)
    revocations.synced()
    keys = KeySet([VerificationKey("k", "RS256", as_algorithm("RS256").public)])
    return Verifier(ISSUER, AUDIENCE, keys=keys, revocations=revocations, now=lambda: NOW)


@pytest.mark.parametrize("name", ["RS384", "RS512", "PS256", "PS384", "PS512"])
def test_the_same_key_by_another_algorithm_is_refused(only_rs256: Verifier, name: str) -> None:
    other = as_algorithm(name)

    assert reason(only_rs256, other.token()) == "bad_signature"
    assert reason(only_rs256, other.token(other.header(alg="RS256"))) == "bad_signature"
    assert reason(only_rs256, as_algorithm("RS256").token()) == "accepted"


@pytest.mark.parametrize("alg", ["rs256", "RS256 ", "Rs256", "RSA256", "ES256", "Ed25519", "EdDSA"])
def test_an_algorithm_is_compared_letter_by_letter(only_rs256: Verifier, alg: str) -> None:
    ours = as_algorithm("RS256")

    assert reason(only_rs256, ours.token(ours.header(alg=alg))) == "bad_signature"


def test_eddsa_is_not_another_name_for_ed25519() -> None:
    ours = signer("Ed25519")

    assert reason(verifier(), ours.token(ours.header(alg="EdDSA"))) == "bad_signature"
