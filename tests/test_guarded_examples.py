"""The plain ASGI example answers as a guard does, and falls over no WebSocket."""

from typing import Any

import pytest

from examples.guarded_asgi import service
from limen.verify.claims import Claims
from limen.verify.middleware import Message
from tests.tokens import payload_of

pytestmark = pytest.mark.anyio


async def answered(scope: dict[str, Any]) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    claims = Claims.from_payload(payload_of())
    await service({"path": "/orders", "limen.claims": claims, **scope}, receive, send)
    return sent


async def test_a_lack_of_scope_is_challenged_and_not_stored() -> None:
    start, _ = await answered({"type": "http", "method": "DELETE"})
    headers = dict(start["headers"])

    assert start["status"] == 403
    assert headers[b"content-type"] == b"application/problem+json"
    assert b'scope="orders:write"' in headers[b"www-authenticate"]
    assert headers[b"cache-control"] == b"no-store"


async def test_an_admitted_websocket_is_closed() -> None:
    assert await answered({"type": "websocket"}) == [{"type": "websocket.close"}]
