"""A receiver believes what limen signed a moment ago, and nothing else.

The messages are signed by hand here, as Standard Webhooks describes it.
"""

import hashlib
import hmac
import json
import random
import subprocess
import sys
from base64 import b64encode
from typing import Any

import pytest

from limen.verify.webhooks import InvalidWebhook, Message, verify

NOW = 1_795_372_200
KEY = bytes(range(32))
SECRET = f"whsec_{b64encode(KEY).decode()}"
OTHER = f"whsec_{b64encode(KEY[::-1]).decode()}"
SAID = {
    "id": "m-1",
    "type": "account.changed",
    "created_at": "2026-11-22T18:30:00.123456Z",
    "data": {"user_id": "u-1", "change": "disabled"},
}
BODY = json.dumps(SAID).encode()

Headers = dict[str, str]


def by_hand(message: str, sent_at: str, body: bytes, key: bytes = KEY) -> str:
    digest = hmac.new(key, f"{message}.{sent_at}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{b64encode(digest).decode()}"


def headers(body: bytes = BODY, sent_at: object = NOW, key: bytes = KEY, **more: str) -> Headers:
    signature = by_hand("m-1", str(sent_at), body, key)
    signed = {"id": "m-1", "timestamp": str(sent_at), "signature": signature}
    return {f"webhook-{name}": value for name, value in (signed | more).items()}


def refusal(
    sent: Headers, body: bytes = BODY, secret: str | list[str] = SECRET, at: float = NOW
) -> str:
    with pytest.raises(InvalidWebhook) as caught:
        verify(sent, body, secret, now=lambda: at)
    return caught.value.reason


def accepted(sent: Headers, secret: str | list[str] = SECRET, at: float = NOW) -> Message:
    return verify(sent, BODY, secret, now=lambda: at)


def test_a_signed_message_is_believed() -> None:
    message = accepted(headers())

    assert (message.id, message.type) == ("m-1", "account.changed")
    assert message.created_at == "2026-11-22T18:30:00.123456Z"
    assert message.data == {"user_id": "u-1", "change": "disabled"}


def test_names_of_headers_may_be_in_any_case() -> None:
    accepted({name.title(): value for name, value in headers().items()})
    accepted({name.upper(): value for name, value in headers().items()})


def test_any_of_several_secrets_and_any_of_several_signatures_will_do() -> None:
    accepted(headers(), [OTHER, SECRET])
    both = f"{by_hand('m-1', str(NOW), BODY, KEY[::-1])} {by_hand('m-1', str(NOW), BODY)}"
    accepted(headers(signature=both))
    accepted(headers(signature=f"v1a,xyz {by_hand('m-1', str(NOW), BODY)}"))


def test_another_secret_is_refused() -> None:
    assert refusal(headers(), secret=OTHER) == "wrong_signature"
    assert refusal(headers(), secret=[OTHER, OTHER]) == "wrong_signature"
    assert refusal(headers(), secret=[]) == "wrong_signature"


def test_any_change_is_refused() -> None:
    """One bit of the body, the id, the time or the signature, each in turn."""
    for place in range(len(BODY)):
        for bit in range(8):
            changed = bytearray(BODY)
            changed[place] ^= 1 << bit
            assert refusal(headers(), bytes(changed)) == "wrong_signature"
    for name, value in headers().items():
        for place in range(len(value)):
            changed_text = (
                value[:place] + ("A" if value[place] != "A" else "B") + value[place + 1 :]
            )
            sent = headers() | {name: changed_text}
            assert refusal(sent) in ("wrong_signature", "malformed"), (name, place)


@pytest.mark.parametrize("body", [b"", BODY + b" ", BODY + b"\n", b" " + BODY, BODY * 2, BODY[:-1]])
def test_another_length_is_refused(body: bytes) -> None:
    assert refusal(headers(), body) == "wrong_signature"


def test_the_parts_cannot_be_moved_into_each_other() -> None:
    """What is signed is the same text in both cases: `m-1.17.1795372200.`, and the body."""
    sent = headers(id="m-1.17", signature=by_hand("m-1.17", str(NOW), BODY))
    assert refusal(sent) == "malformed"
    moved = headers(sent_at=17, signature=by_hand("m-1", "17", f"{NOW}.".encode() + BODY))
    assert refusal(moved, at=17) == "wrong_signature"
    assert refusal(moved, f"{NOW}.".encode() + BODY, at=17) == "malformed"


@pytest.mark.parametrize(
    ("at", "reason"), [(NOW + 300, ""), (NOW + 301, "too_old"), (NOW - 301, "too_new")]
)
def test_a_recorded_message_is_soon_worth_nothing(at: int, reason: str) -> None:
    if reason:
        assert refusal(headers(), at=at) == reason
    else:
        accepted(headers(), at=at)
        accepted(headers(), at=2 * NOW - at)


def test_the_tolerance_is_the_receivers() -> None:
    verify(headers(), BODY, SECRET, tolerance=3600, now=lambda: NOW + 3600)
    with pytest.raises(InvalidWebhook):
        verify(headers(), BODY, SECRET, tolerance=0, now=lambda: NOW + 1)


@pytest.mark.parametrize("name", ["id", "timestamp", "signature"])
def test_no_header_may_be_missing(name: str) -> None:
    sent = headers()
    del sent[f"webhook-{name}"]

    assert refusal(sent) == "missing"


ODD = ["", " ", "\0", "é", "\ud800", "1e9", "-1", "+1", " 1", "1 ", "1.5", "٣", "9" * 4000, "\n"]


@pytest.mark.parametrize("value", ODD, ids=ascii)
def test_odd_headers_are_refused_and_nothing_else(value: str) -> None:
    for name in ("id", "timestamp", "signature"):
        assert refusal(headers() | {f"webhook-{name}": value}) in ("malformed", "wrong_signature")


NO_MESSAGE: list[bytes] = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b"\xff",
    b'{"id": "m-1"}',
    b'{"id": "m-1", "type": 1, "created_at": "", "data": {}}',
    b'{"id": "m-1", "type": "a", "created_at": "", "data": []}',
    b'{"id": "m-1", "id": "m-2", "type": "a", "created_at": "", "data": {}}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("body", NO_MESSAGE, ids=lambda body: ascii(body)[:30])
def test_what_is_signed_and_no_message_is_refused(body: bytes) -> None:
    assert refusal(headers(body), body) == "malformed"


def test_a_message_may_gain_members() -> None:
    body = json.dumps(SAID | {"more": 1}).encode()

    assert verify(headers(body), body, SECRET, now=lambda: NOW).type == "account.changed"


NO_SECRET = ["", "whsec_", SECRET[6:], "whsec_!!!!", "whsec_AAAA", "secret", f"{SECRET}="]


@pytest.mark.parametrize("secret", NO_SECRET)
def test_what_is_no_secret_is_a_mistake_of_the_receivers(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        verify(headers(), BODY, secret, now=lambda: NOW)


def test_nothing_but_the_standard_library_is_needed() -> None:
    program = (
        "import sys; from limen.verify.webhooks import verify; "
        "print(*{m.partition('.')[0] for m in sys.modules} - {*sys.stdlib_module_names})"
    )
    ran = subprocess.run(
        [sys.executable, "-S", "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(path for path in sys.path if "site-packages" not in path)},
    )

    assert {*ran.stdout.split()} <= {"limen", "__main__"}


def test_garbage_is_refused_whatever_it_is() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)

    def text() -> str:
        return "".join(
            chr(dice.choice((dice.randrange(128), dice.randrange(0xD000))))
            for _ in range(dice.randrange(20))
        )

    for _ in range(500):
        sent: dict[str, Any] = {name: text() for name in headers()}
        assert refusal(sent, dice.randbytes(50)) in ("malformed", "wrong_signature")
