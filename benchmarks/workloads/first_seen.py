"""A guarded request whose token was never seen before, against the bare verification of OpenSSL.

In one process and without a server, so that microseconds can be told apart: the guard in front of
an application that does nothing, less that application alone, for tokens each of which comes once.
"""

import asyncio
import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from benchmarks.bench import Bench, Result
from benchmarks.figures import Figure, Finding, Target, WrongAnswerError, interleaved
from benchmarks.population import Population, populate
from benchmarks.processes import ISSUER
from limen.verify.gate import parse
from limen.verify.keyset import KeySet
from limen.verify.middleware import ASGIApp, Guard, Message, Receive, Scope, Send
from limen.verify.revocations import Revocations
from limen.verify.verifier import Verifier

TOKENS = 1000
US = 1e6


def run(bench: Bench) -> Result:
    result = Result(unit="µs")
    for algorithm in ("RS256", "ES256"):
        data = bench.data()
        people = populate(data, None, people=10, sessions=TOKENS, algorithm=algorithm)
        turns = _Turns(people)
        arms = {
            f"{algorithm}, guarded": turns.guarded,
            f"{algorithm}, unguarded": turns.unguarded,
            f"{algorithm}, OpenSSL": turns.openssl,
        }
        times = interleaved(bench.pace, bench.noise, arms)
        found = Result.of(times, "µs")
        result.arms |= found.arms
        result.dropped += found.dropped
        result.disturbed |= found.disturbed
        guarded, unguarded, openssl = arms
        more = Figure.of([each[guarded] - each[unguarded] - each[openssl] for each in times.kept])
        what = f"guarded request, each token once, {algorithm}, over its verification"
        result.findings.append(Finding(what, more, "µs", Target(most=60), "OpenSSL's verify"))
    return result


class _Turns:
    """The three arms: each looks at every token once, and returns microseconds a token."""

    def __init__(self, people: Population) -> None:
        self._tokens = people.access_tokens
        self._scopes = [_scope(token) for token in self._tokens]
        (self._key,) = people.keys

    def guarded(self, _seconds: float) -> float:
        revocations = Revocations()
        revocations.synced()
        keys = KeySet([self._key])  # a verifier made anew has seen no token
        verifier = Verifier(ISSUER, "limen", keys=keys, revocations=revocations, leeway=5)
        return asyncio.run(_times(Guard(_nothing, verifier), self._scopes))

    def unguarded(self, _seconds: float) -> float:
        return asyncio.run(_times(_nothing, self._scopes))

    def openssl(self, _seconds: float) -> float:
        signed = [_signed(token, self._key.algorithm) for token in self._tokens]
        public: Any = self._key.key.public_key
        how = [ec.ECDSA(SHA256())] if self._key.algorithm == "ES256" else _RSA
        began = time.perf_counter()
        for signature, message in signed:
            public.verify(signature, message, *how)
        return (time.perf_counter() - began) / len(signed) * US


_RSA = [padding.PKCS1v15(), SHA256()]


async def _nothing(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def _times(app: ASGIApp, scopes: list[Scope]) -> float:
    answered = []

    async def receive() -> dict[str, Any]:
        raise AssertionError("nobody reads a body")

    async def send(message: Message) -> None:
        answered.append(message["status"])

    fresh = [dict(scope) for scope in scopes]
    began = time.perf_counter()
    for scope in fresh:
        await app(scope, receive, send)
    took = time.perf_counter() - began
    if answered != [200] * len(scopes):
        raise WrongAnswerError(f"{len(scopes)} good tokens, {answered.count(200)} let in")
    return took / len(scopes) * US


def _scope(token: str) -> Scope:
    headers = [(b"host", b"shop.example"), (b"authorization", f"Bearer {token}".encode())]
    return {"type": "http", "method": "GET", "path": "/orders", "headers": headers}


def _signed(token: str, algorithm: str) -> tuple[bytes, bytes]:
    """Return the signature as OpenSSL has it, and what was signed."""
    unverified = parse(token)
    signature, half = unverified.signature, len(unverified.signature) // 2
    if algorithm == "ES256":
        numbers = (int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))
        signature = encode_dss_signature(*numbers)
    return signature, unverified.signed
