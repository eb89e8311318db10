"""A plain ASGI application, the same behind the guard, and behind the least that a guard does."""

import math
import time
from contextlib import suppress
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from benchmarks.apps.verifier import verifier
from benchmarks.bound import MESSAGE
from limen.verify.middleware import Guard, Receive, Scope, Send

_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"17")],
}
_BODY: dict[str, Any] = {"type": "http.response.body", "body": b'{"orders":"none"}'}


async def unguarded(scope: Scope, _receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        return
    await send(_START)
    await send(_BODY)


guarded = Guard(unguarded, verifier)


class Remembering:
    """A guard that only finds the token, looks it up and at the time; each that comes is good."""

    def __init__(self) -> None:
        self._seen: dict[bytes, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for name, value in scope.get("headers", ()):
            if name == b"authorization" and self._seen.setdefault(value, math.inf) < time.time():
                return
        await unguarded(scope, receive, send)


class Verifying:
    """A guard that only computes a signature, always the same, and refuses."""

    def __init__(self) -> None:
        key = rsa.generate_private_key(65537, 2048)
        self._signature = key.sign(MESSAGE, padding.PKCS1v15(), SHA256())
        self._key = key.public_key()

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        with suppress(InvalidSignature):
            self._key.verify(self._signature, MESSAGE[1:], padding.PKCS1v15(), SHA256())
        await send({**_START, "status": 401})
        await send(_BODY)


remembering = Remembering()
verifying = Verifying()
