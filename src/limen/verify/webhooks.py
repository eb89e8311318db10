"""Is this webhook from my limen? For whoever receives them.

    message = verify(request.headers, await request.body(), secret)

limen signs what it posts in the form of Standard Webhooks, which libraries of many languages check:

    webhook-id           one message, the same at each try
    webhook-timestamp    when it was tried, in seconds since the Unix epoch
    webhook-signature    v1, and the base64 of HMAC-SHA256(secret, "id.timestamp.body"); a few of
                         them with spaces between, while the secret is being changed

The body is checked as the bytes that came: parsed and written again it is another one. A message
that was recorded on its way is good for `TOLERANCE` seconds, and limen itself may send one twice:
remember the ids you have dealt with. It needs the standard library alone.
"""

import hmac
import re
import time
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from limen.verify.errors import LimenError
from limen.verify.strict_json import StrictJSONError, loads

TOLERANCE: Final = 300
PREFIX: Final = "whsec_"

MOST_SIGNATURES: Final = 8  # limen sends two at most
_SHORTEST_SECRET = 16

# Without dots, so that what is signed can be taken apart in one way only.
_ID = re.compile(r"[A-Za-z0-9_-]{1,256}")
_SECONDS = re.compile(r"[0-9]{1,12}")

Reason = Literal["missing", "malformed", "too_old", "too_new", "wrong_signature"]

_REASONS: Final[dict[Reason, str]] = {
    "missing": "It is no webhook: one of the three webhook-* headers is missing.",
    "malformed": "A header or the body of the webhook is malformed.",
    "too_old": "The webhook was sent too long ago, or recorded and sent again: check the clock.",
    "too_new": "The webhook comes from the future: check the clock.",
    "wrong_signature": "The webhook's signature is not that of the secret.",
}


class InvalidWebhook(LimenError):
    """It is not to be believed; `reason` says why. Answer 400 or 401."""

    code = "invalid_webhook"

    def __init__(self, reason: Reason) -> None:
        self.reason: Reason = reason
        super().__init__(_REASONS[reason])


@dataclass(frozen=True, slots=True)
class Message:
    """What has happened, and when (RFC 3339); each `type` has its own `data`."""

    id: str
    type: str
    created_at: str
    data: Mapping[str, Any] = field(repr=False)


def verify(
    headers: Mapping[str, str],
    body: bytes,
    secret: str | Sequence[str],
    *,
    tolerance: int = TOLERANCE,
    now: Callable[[], float] = time.time,
) -> Message:
    """Return what a webhook says, if it was signed with the secret, or with one of several.

    Names of headers may be in any case. `tolerance` is in seconds, both ways.

    Raises:
        InvalidWebhook: It is not to be believed.
        ValueError: A secret is none: it is `whsec_` and base64.
    """
    secrets = [secret] if isinstance(secret, str) else secret
    keys = [key_of(one) for one in secrets]
    lower = {name.lower(): value for name, value in headers.items()}
    message, sent_at, signatures = (lower.get(f"webhook-{name}") for name in _HEADERS)
    if message is None or sent_at is None or signatures is None:
        raise InvalidWebhook("missing")
    if not (_ID.fullmatch(message) and _SECONDS.fullmatch(sent_at) and signatures.isascii()):
        raise InvalidWebhook("malformed")
    if not _is_signed(signatures, [signature(key, message, sent_at, body) for key in keys]):
        raise InvalidWebhook("wrong_signature")
    age = now() - int(sent_at)
    if abs(age) > tolerance:
        raise InvalidWebhook("too_old" if age > 0 else "too_new")
    return _message(message, body)


def key_of(secret: str) -> bytes:
    """Return the key that a secret stands for.

    Raises:
        ValueError: It is none.
    """
    try:
        key = b64decode(secret.removeprefix(PREFIX), validate=True)
    except (NotBase64, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or len(key) < _SHORTEST_SECRET:
        raise ValueError("A webhook's secret is 'whsec_' and base64: 'limen webhooks' shows it.")
    return key


def signature(key: bytes, message: str, sent_at: str, body: bytes) -> str:
    """Return the signature of a body, as it stands in the header."""
    signed = f"{message}.{sent_at}.".encode() + body
    return f"v1,{b64encode(hmac.digest(key, signed, 'sha256')).decode()}"


_HEADERS = ("id", "timestamp", "signature")


def _is_signed(signatures: str, expected: Sequence[str]) -> bool:
    """Compare each with each, in constant time, as many as limen might have sent."""
    found = [one.encode() for one in signatures.split(" ")[:MOST_SIGNATURES]]
    return any(hmac.compare_digest(a, b.encode()) for a in found for b in expected)


def _message(message: str, body: bytes) -> Message:
    try:
        said = loads(body)
    except StrictJSONError:
        raise InvalidWebhook("malformed") from None
    match said:
        case {"id": str(), "type": str(kind), "created_at": str(created_at), "data": dict(data)}:
            return Message(message, kind, created_at, data)
        case _:
            raise InvalidWebhook("malformed")
