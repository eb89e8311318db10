"""J18: encrypted tokens, as zip bombs and costly derivations (CVE-2024-33664, CVE-2023-6681)."""

import json
import time
import tracemalloc

import pytest
from joserfc import jwe
from joserfc.jwk import OctKey

from tests.tokens import HS256_SECRET, b64, payload_of, reason, signer, verifier


def bomb() -> str:
    key = OctKey.import_key(HS256_SECRET)
    header = {"alg": "dir", "enc": "A256GCM", "zip": "DEF", "kid": "HS256-key", "typ": "at+jwt"}
    return jwe.encrypt_compact(header, b"A" * 200_000, key)


def slow_derivation() -> str:
    header = {"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": 2**31 - 1, "p2s": "c2FsdA"}
    return ".".join(b64(part) for part in (json.dumps(header).encode(), *[b"12345678"] * 4))


def nested() -> str:
    return ".".join([*signer("Ed25519").token(payload=payload_of()).split("."), "AAAA", "AAAA"])


@pytest.mark.parametrize("make", [bomb, slow_derivation, nested])
def test_five_parts_are_refused_before_anything_is_opened(make: object) -> None:
    assert callable(make)
    token, checker = make(), verifier()
    reason(checker, token)

    tracemalloc.start()
    start = time.perf_counter()
    answer = reason(checker, token)
    took = time.perf_counter() - start
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert answer == "malformed"
    print(f"{took * 1e6:.0f} us under tracemalloc")
    assert took < 0.5
    assert peak < 50_000


@pytest.mark.parametrize("value", ["DEF", "GZIP", "", None], ids=repr)
def test_a_signed_token_is_never_unzipped(value: object) -> None:
    ours = signer("Ed25519")

    assert reason(verifier(), ours.token(ours.header(zip=value))) == "malformed"
