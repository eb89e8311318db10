"""Webhooks are posted signed, until they were taken, at least once, and with nothing personal."""

import asyncio
import hashlib
import hmac
import json
import ssl
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from limen import outbox, webhook_delivery
from limen.clock import SECOND
from limen.events import CodeIssued, CodeRefused, Event, Posted, WebhookChanged
from limen.limen import Limen
from limen.outbox import LEASE, PAUSES
from limen.settings import Settings
from limen.verify.webhooks import verify
from limen.webhook_letters import USEFUL_SECONDS, WebhookLetter
from limen.webhooks import KIND_NAMES, Webhook
from tests.clock import ManualClock
from tests.conftest import on_sqlite
from tests.people import AUTH, Person, calling_from, somebody
from tests.receiving import Post, Receiver, receiving
from tests.running import running

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is delivered in the background, so that a test can count."""
    monkeypatch.setattr(outbox, "ROUND_SECONDS", 3600)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def webhook(limen: Limen, ada: Person, receiver: Receiver) -> Webhook:
    """A webhook that is told how sessions end, and of accounts that change."""
    assert ada.tokens  # she has signed in before, and nobody is told of that
    return await listening(limen, receiver.url, "session.ended", "account.changed")


async def listening(limen: Limen, url: str, *kinds: str) -> Webhook:
    made = await limen.features.webhooks.create(url, kinds)
    await limen.features.webhook_letters.refresh()
    return made


async def delivered(limen: Limen) -> list[WebhookLetter]:
    """Work off what is due, and return what became of everything, the oldest first."""
    await limen.features.outbox.work("webhook")
    return (await limen.features.webhook_letters.newest())[::-1]


def outcomes(happened: list[Event]) -> list[str]:
    """What was counted of webhooks."""
    posted = [event for event in happened if isinstance(event, Posted)]
    return [event.outcome for event in posted if event.kind == "webhook"]


def signed_by_hand(post: Post, secret: str) -> bool:
    """Check a signature as Standard Webhooks describes it, beside limen's own code."""
    said = f"{post.headers['webhook-id']}.{post.headers['webhook-timestamp']}.".encode()
    key = b64decode(secret.split("_")[1])
    digest = hmac.new(key, said + post.body, hashlib.sha256).digest()
    return "v1," + b64encode(digest).decode() in post.headers["webhook-signature"].split(" ")


async def test_a_message_says_what_happened_and_is_signed(
    limen: Limen, ada: Person, receiver: Receiver, webhook: Webhook, clock: ManualClock
) -> None:
    at = datetime.fromtimestamp(clock.now // SECOND, UTC)
    await limen.features.accounts.change(ada.user_id, "access_changed")
    clock.tick(20)
    (letter,) = await delivered(limen)
    (post,) = receiver.posts
    said = json.loads(post.body)

    assert post.target == "/hook"
    assert post.headers["content-type"] == "application/json"
    assert post.headers["webhook-timestamp"] == str(clock.now // SECOND)
    assert said.pop("created_at").startswith(at.isoformat().removesuffix("+00:00"))
    assert said == {
        "id": post.id,
        "type": "account.changed",
        "data": {"user_id": ada.user_id, "change": "access_changed"},
    }
    assert signed_by_hand(post, webhook.secrets[0])
    verify(post.headers, post.body, webhook.secrets[0], now=lambda: clock.now / SECOND)
    assert (letter.id, letter.outcome, letter.answer) == (post.id, "delivered", "200")


async def test_what_is_refused_is_tried_again_later_and_counted(  # noqa: PLR0917  fixtures
    limen: Limen,
    ada: Person,
    receiver: Receiver,
    webhook: Webhook,
    clock: ManualClock,
    happened: list[Event],
) -> None:
    receiver.answer(500, 503, 204)
    await ada.log_out()
    for pause in (*PAUSES[:2], 0):
        await delivered(limen)
        await delivered(limen)  # not before it is due
        clock.tick(pause)

    assert len(receiver.posts) == 3
    assert len({post.id for post in receiver.posts}) == 1
    assert len({post.headers["webhook-timestamp"] for post in receiver.posts}) == 3
    assert all(signed_by_hand(post, webhook.secrets[0]) for post in receiver.posts)
    assert outcomes(happened) == ["retried", "retried", "delivered"]


async def test_after_a_day_it_is_given_up(
    limen: Limen, ada: Person, receiver: Receiver, webhook: Webhook, clock: ManualClock
) -> None:
    receiver.answer(500)
    await ada.log_out()
    began = clock.now
    while (await delivered(limen))[0].outcome == "waiting":
        clock.tick(PAUSES[-1])

    (letter,) = await delivered(limen)
    assert (letter.outcome, letter.answer, letter.target) == ("failed", "500", webhook.id)
    assert 23 * 3600 < (clock.now - began) / SECOND <= USEFUL_SECONDS
    print(f"\n{len(receiver.posts)} tries in a day")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.usefixtures("webhook")
@on_sqlite
async def test_a_redirect_is_not_followed(
    limen: Limen, ada: Person, receiver: Receiver, status: int
) -> None:
    async with receiving() as elsewhere:
        receiver.answer(status, headers=f"Location: {elsewhere.url}\r\n".encode())
        await ada.log_out()
        (letter,) = await delivered(limen)

    assert (letter.outcome, letter.answer) == ("waiting", str(status))
    assert elsewhere.posts == []


@pytest.mark.usefixtures("webhook")
async def test_410_disables_the_webhook(
    limen: Limen, ada: Person, receiver: Receiver, happened: list[Event]
) -> None:
    receiver.answer(410)
    await ada.log_out()
    (letter,) = await delivered(limen)
    await limen.features.webhook_letters.refresh()
    await ada.sign_in()
    await ada.log_out()

    (kept,) = await limen.features.webhooks.all()
    assert kept.disabled_at is not None
    assert letter.outcome == "failed"
    assert len(await delivered(limen)) == len(receiver.posts) == 1
    assert WebhookChanged(kept.id, "disabled") in happened


async def test_one_that_is_disabled_or_deleted_gets_nothing_at_once(
    limen: Limen, ada: Person, receiver: Receiver, webhook: Webhook, clock: ManualClock
) -> None:
    await ada.log_out()
    await limen.features.webhooks.disable(webhook.id)
    (given_up,) = await delivered(limen)
    await limen.features.webhooks.enable(webhook.id)
    await limen.features.webhook_letters.refresh()  # it may have been read while it was disabled
    clock.tick(1)
    await ada.sign_in()
    await ada.log_out()
    await limen.features.webhooks.delete(webhook.id)
    _, also = await delivered(limen)

    assert receiver.posts == []
    assert (given_up.answer, also.answer) == ("the webhook was disabled", "the webhook was deleted")


@pytest.mark.usefixtures("webhook")
@on_sqlite
async def test_an_answer_of_any_length_is_not_read(
    limen: Limen, ada: Person, receiver: Receiver
) -> None:
    receiver.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"]
    receiver.endlessly = b"x" * 65536
    await ada.log_out()
    (letter,) = await delivered(limen)

    assert (letter.outcome, letter.answer) == ("delivered", "200")


ODD = {
    "nothing": b"",
    "no HTTP": b"220 mail.example.com ESMTP\r\n",
    "endless headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
    "a status that is none": b"HTTP/1.1 twohundred OK\r\n\r\n",
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.usefixtures("webhook")
@on_sqlite
async def test_an_odd_answer_is_no_delivery(
    limen: Limen, ada: Person, receiver: Receiver, odd: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers = [odd]
    await ada.log_out()
    (letter,) = await delivered(limen)

    assert letter.outcome == "waiting"
    assert letter.answer
    assert "could not be delivered" not in caplog.text


async def test_nobody_listening_is_no_delivery_and_comes_later(
    limen: Limen, ada: Person, clock: ManualClock
) -> None:
    async with receiving() as receiver:
        url = receiver.url
    webhook = await listening(limen, url, "session.ended")
    await ada.log_out()
    (letter,) = await delivered(limen)

    assert (letter.target, letter.outcome) == (webhook.id, "waiting")
    assert letter.due_at == clock.now + PAUSES[0] * SECOND


@pytest.mark.usefixtures("webhook")
async def test_one_that_is_slow_keeps_the_others_waiting_once(
    limen: Limen,
    ada: Person,
    receiver: Receiver,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    receiver.hangs = True
    async with receiving() as other:
        quick = await listening(limen, other.url, "session.ended")
        await ada.log_out()
        with monkeypatch.context() as impatient:
            impatient.setattr(webhook_delivery, "SECONDS", 2.0)  # the other answers within that
            slow, _ = sorted(await delivered(limen), key=lambda one: one.target == quick.id)
        assert str(slow.answer).startswith("no answer within")

        await ada.sign_in()
        await ada.log_out()
        clock.tick(PAUSES[0])
        await delivered(limen)
        assert len(other.posts) == 2
        assert len(receiver.posts) == 1  # it rests

    receiver.hangs = False
    clock.tick(webhook_delivery.REST / SECOND)
    await delivered(limen)
    assert len(receiver.posts) == 3


async def test_what_a_killed_process_was_delivering_is_delivered_by_another(  # noqa: PLR0917
    limen: Limen,
    twin: Limen,
    ada: Person,
    receiver: Receiver,
    webhook: Webhook,
    clock: ManualClock,
) -> None:
    receiver.hangs = True
    await ada.log_out()
    killed = asyncio.create_task(limen.features.outbox.work("webhook"))
    async with asyncio.timeout(10):
        await receiver.arrived.wait()
    killed.cancel()
    await asyncio.wait([killed])
    receiver.hangs = False
    await delivered(twin)
    assert len(receiver.posts) == 1

    clock.tick(LEASE / SECOND)
    (letter,) = await delivered(twin)
    first, again = receiver.posts
    assert letter.outcome == "delivered"
    assert (first.id, first.body) == (again.id, again.body)
    assert webhook.id == letter.target


async def test_a_changed_secret_signs_beside_the_one_before_for_a_day(
    limen: Limen, ada: Person, receiver: Receiver, webhook: Webhook, clock: ManualClock
) -> None:
    new = await limen.features.webhooks.rotate_secret(webhook.id)
    assert new is not None
    for seconds in (0, 86399, 1):
        clock.tick(seconds)
        await ada.sign_in()
        await ada.log_out()
        await delivered(limen)

    old = webhook.secrets[0]
    assert [signed_by_hand(post, new) for post in receiver.posts] == [True] * 3
    assert [signed_by_hand(post, old) for post in receiver.posts] == [True, True, False]


async def test_a_leaked_secret_that_was_changed_twice_signs_nothing(
    limen: Limen, ada: Person, receiver: Receiver, webhook: Webhook
) -> None:
    for _ in range(2):
        await limen.features.webhooks.rotate_secret(webhook.id)
    await ada.log_out()
    await delivered(limen)

    assert not signed_by_hand(receiver.posts[0], webhook.secrets[0])


async def test_a_test_is_posted_at_once_and_tried_once(limen: Limen, receiver: Receiver) -> None:
    webhook = await listening(limen, receiver.url, "session.ended")
    await limen.features.webhooks.disable(webhook.id)

    assert await limen.features.webhook_delivery.test(webhook) == "200"
    assert json.loads(receiver.posts[0].body)["type"] == "test"
    assert signed_by_hand(receiver.posts[0], webhook.secrets[0])
    assert await delivered(limen) == []


def certificate(folder: Path) -> ssl.SSLContext:
    """Return TLS for a server whose certificate nobody has signed but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "certificate.pem").write_bytes(made.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context


@on_sqlite
async def test_who_has_no_certificate_is_told_nothing(
    limen: Limen, ada: Person, tmp_path: Path
) -> None:
    async with receiving(certificate(tmp_path)) as unknown, receiving() as plain:
        for url in (unknown.url, plain.url.replace("http:", "https:")):
            await listening(limen, url, "session.ended")
        await ada.log_out()
        letters = await delivered(limen)

        assert [letter.answer for letter in letters] == ["ConnectError"] * 2
        assert unknown.posts == plain.posts == []


EMAIL, PASSWORD = "kanarie.ada@nest.example.com", "kanarie sings at dawn"
ADDRESS, AGENT = "198.51.100.77", "kanarie-agent"


async def test_nothing_personal_is_posted(
    limen: Limen, http: httpx2.AsyncClient, receiver: Receiver
) -> None:
    await listening(limen, receiver.url, *KIND_NAMES)
    http.headers["User-Agent"] = AGENT
    account = await limen.features.accounts.create(EMAIL, PASSWORD)
    ada = Person(http, EMAIL, account.user_id, PASSWORD)
    await ada.sign_in()
    await http.post(f"{AUTH}/login", json={"email": EMAIL, "password": f"{PASSWORD}!"})
    used = ada.tokens
    await ada.refresh()
    await ada.refresh(used["refresh_token"])
    await ada.sign_in()
    async with limen.features.log.change() as change:
        change.happened(CodeIssued(ada.user_id, "reset"), CodeRefused("reset", ada.user_id))
    await limen.features.keys.rotate()
    await limen.features.accounts.set_password(account.user_id, f"{PASSWORD} and dusk")
    await limen.features.accounts.delete(account.user_id)
    await delivered(limen)

    posted = b"\n".join(post.body for post in receiver.posts).decode()
    kinds = {json.loads(post.body)["type"] for post in receiver.posts}
    print(f"\nsearched: {', '.join(sorted(kinds))}")
    assert {"account.registered", "sign_in", "session.ended", "account.changed"} <= kinds
    assert account.user_id in posted  # the search works
    tokens = used["access_token"], used["refresh_token"]
    secrets = EMAIL, PASSWORD, AGENT, "kanarie", "nest", "@", *tokens, "127.0.0.1"
    assert [secret for secret in secrets if secret in posted] == []


async def test_the_metrics_count_what_was_posted(
    limen: Limen, ada: Person, receiver: Receiver, happened: list[Event]
) -> None:
    await listening(limen, receiver.url, "session.ended", "sign_in")
    await ada.log_out()
    await ada.sign_in()
    await delivered(limen)

    assert outcomes(happened) == ["delivered"] * 2


async def test_a_running_limen_delivers_by_itself(
    settings: Settings, clock: ManualClock, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "ROUND_SECONDS", 0.05)
    async with running(settings, clock) as limen, calling_from(limen, ADDRESS) as http:
        webhook = await listening(limen, receiver.url, "session.ended")
        await (await somebody(limen, http)).log_out()
        async with asyncio.timeout(10):
            await receiver.arrived.wait()

    assert json.loads(receiver.posts[0].body)["data"]["reason"] == "logout"
    assert webhook.secrets[0] not in repr(webhook)
