"""A plain ASGI application, without any framework, whose users sign in at a limen elsewhere.

ISSUER=http://localhost:8000 uvicorn --port 8003 --lifespan off examples.guarded_asgi:app
"""

import json
import os
from collections.abc import Iterable

from limen.verify.errors import InsufficientScope
from limen.verify.middleware import Guard, Receive, Scope, Send
from limen.verify.problems import MEDIA_TYPE, problem_of
from limen.verify.verifier import Verifier

ISSUER = os.environ.get("ISSUER", "http://localhost:8000")
AUDIENCE = os.environ.get("AUDIENCE", "limen")


async def service(scope: Scope, _receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close"})  # there are none here
        return
    match scope["method"], scope["path"]:
        case "GET", "/healthz":
            await answer(send, 200, {"status": "ok"})
        case "GET", "/orders":
            await answer(send, 200, {"orders of": scope["limen.claims"].user_id})
        case "DELETE", "/orders" if "orders:write" in scope["limen.claims"].scopes:
            await answer(send, 200, {"forgotten by": scope["limen.claims"].user_id})
        case "DELETE", "/orders":
            problem = problem_of(InsufficientScope(("orders:write",)))
            await answer(send, problem.status, problem.body(), MEDIA_TYPE, problem.headers)
        case _:
            await answer(send, 404, {"error": "not found"})


async def answer(
    send: Send,
    status: int,
    said: dict[str, str] | bytes,
    media_type: str = "application/json",
    more: Iterable[tuple[str, str]] = (),
) -> None:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    fields = (("Content-Type", media_type), ("Content-Length", str(len(body))), *more)
    headers = [(name.lower().encode(), value.encode()) for name, value in fields]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


app = Guard(service, Verifier(ISSUER, AUDIENCE), open=["GET /healthz"])
