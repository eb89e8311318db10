"""A plain ASGI application, and the same behind the guard."""

from typing import Any

from benchmarks.apps.verifier import verifier
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
