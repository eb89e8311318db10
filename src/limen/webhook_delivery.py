"""Posting to webhooks: one letter of the outbox, one POST, and of the answer only the status.

    POST {url}                          {"id": ..., "type": "account.changed",
    webhook-id: 4f1a...                  "created_at": "2026-11-22T18:30:00.123456Z",
    webhook-timestamp: 1795372200        "data": {"user_id": ..., "change": "disabled"}}
    webhook-signature: v1,K5oZ...

That is the form of Standard Webhooks; `limen.verify.webhooks` is the other end. The id is that of
the letter, the same at each try, by which a receiver knows what he has seen. The timestamp is that
of the try, so that what is tried again a day later is not taken for a replay.

    2xx              delivered
    410              the webhook is disabled: it has said that it wants nothing more
    anything else    tried again by the outbox, later and later, for a day

A redirect is anything else. An answer has `SECONDS`, all of it; its body is not read, however long
it is. A webhook that has not answered in time gets nothing for `REST`: every try that waits for it
in vain keeps those to other webhooks waiting.
"""

import asyncio
import json
import secrets
import ssl
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

import httpx2

from limen import __version__
from limen.clock import SECOND, Clock
from limen.outbox import Letter, NotDelivered, Undeliverable
from limen.verify.webhooks import key_of, signature
from limen.webhooks import Webhook, Webhooks

SECONDS: Final = 10.0
REST: Final = 60 * SECOND


class WebhookDelivery:
    """Carries letters to webhooks."""

    def __init__(self, webhooks: Webhooks, *, clock: Clock) -> None:
        self._webhooks = webhooks
        self._clock = clock
        self._rests_until: dict[str, int] = {}
        self._making = asyncio.Lock()
        self._transport: httpx2.AsyncHTTPTransport | None = None

    async def carry(self, letter: Letter) -> str:
        """Post a letter to its webhook, and return the status that was answered.

        Raises:
            Undeliverable: The webhook is gone, or wants nothing more.
            NotDelivered: It did not say that it had taken it.
            DatabaseUnavailable: The webhook cannot be looked up.
        """
        webhook = await self._webhooks.get(letter.target or "")
        if webhook is None or webhook.disabled_at is not None:
            raise Undeliverable(f"the webhook was {'disabled' if webhook else 'deleted'}")
        if self._clock() < self._rests_until.get(webhook.id, 0):
            raise NotDelivered("not tried: it has just not answered in time")
        return await self.post(webhook, letter)

    async def post(self, webhook: Webhook, letter: Letter) -> str:
        """Post a letter to this webhook; raises what `carry` raises."""
        status = await self._status(webhook, self._request(webhook, letter))
        if status == HTTPStatus.GONE:
            await self._webhooks.disable(webhook.id)
            raise Undeliverable("410: it is gone, and was disabled")
        if not 200 <= status < 300:  # noqa: PLR2004  RFC 9110, section 15.3
            raise NotDelivered(str(status))
        return str(status)

    async def test(self, webhook: Webhook) -> str:
        """Post a message of the type "test" at once, also to one that is disabled.

        It is not tried again. Raises what `carry` raises.
        """
        now, message = self._clock(), secrets.token_hex(16)
        return await self.post(
            webhook, Letter(message, "webhook", "test", None, webhook.id, 1, now, {})
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._transport is not None:
            await self._transport.aclose()

    async def _status(self, webhook: Webhook, request: httpx2.Request) -> int:
        transport = await self._ready()
        try:
            async with asyncio.timeout(SECONDS):
                response = await transport.handle_async_request(request)
                await response.aclose()
        except (TimeoutError, httpx2.TimeoutException):
            self._rests_until[webhook.id] = self._clock() + REST
            raise NotDelivered(f"no answer within {SECONDS:.0f} seconds") from None
        except (httpx2.HTTPError, OSError) as error:
            raise NotDelivered(type(error).__name__) from None
        return response.status_code

    async def _ready(self) -> httpx2.AsyncHTTPTransport:
        """Make the transport for the first letter: reading the certificates takes a while.

        It is no client, which would know netrc, cookies and proxies, and log the address.
        """
        async with self._making:
            if self._transport is None:
                trusted = await asyncio.to_thread(ssl.create_default_context)
                self._transport = httpx2.AsyncHTTPTransport(verify=trusted)
        return self._transport

    def _request(self, webhook: Webhook, letter: Letter) -> httpx2.Request:
        if not webhook.secrets:
            raise Undeliverable("its secret is sealed under one that has gone: rotate it")
        body = json.dumps(_document(letter), separators=(",", ":")).encode()
        now = str(self._clock() // SECOND)
        keys = map(key_of, webhook.secrets)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"limen/{__version__}",
            "Connection": "close",
            "webhook-id": letter.id,
            "webhook-timestamp": now,
            "webhook-signature": " ".join(signature(key, letter.id, now, body) for key in keys),
        }
        request = httpx2.Request("POST", webhook.url, headers=headers, content=body)
        request.extensions = {"timeout": httpx2.Timeout(SECONDS).as_dict()}
        return request


def _document(letter: Letter) -> dict[str, Any]:
    at = datetime.fromtimestamp(letter.created_at / SECOND, UTC)
    return {
        "id": letter.id,
        "type": letter.subject,
        "created_at": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "data": {**letter.content},
    }
