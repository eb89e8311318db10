"""J14: an ECDSA signature of zeros, good for everything (CVE-2022-21449, "psychic paper")."""

import itertools

import pytest

from tests.tokens import b64, reason, signer, verifier

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P256_PRIME = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
EDGES = [0, 1, P256_ORDER - 1, P256_ORDER, P256_ORDER + 1, P256_PRIME, 2**256 - 1]
SIGNED = signer("ES256").token().rpartition(".")[0]


@pytest.mark.parametrize(("r", "s"), list(itertools.product(EDGES, EDGES)))
def test_no_signature_from_the_edges_is_good(r: int, s: int) -> None:
    signature = b64(r.to_bytes(32) + s.to_bytes(32))

    assert reason(verifier(), f"{SIGNED}.{signature}") == "bad_signature"


@pytest.mark.parametrize("size", [1, 2, 32, 63, 65, 72, 96, 128, 1000])
@pytest.mark.parametrize("byte", [0, 1, 255])
def test_no_signature_of_another_size_is_good(size: int, byte: int) -> None:
    assert reason(verifier(), f"{SIGNED}.{b64(bytes([byte]) * size)}") == "bad_signature"


@pytest.mark.parametrize("algorithm", ["RS256", "Ed25519", "HS256"])
def test_zeros_are_no_signature_of_any_algorithm(algorithm: str) -> None:
    token = signer(algorithm).token()
    size = len(token.rpartition(".")[2]) * 3 // 4

    assert reason(verifier(), token.rpartition(".")[0] + "." + b64(bytes(size))) == "bad_signature"
