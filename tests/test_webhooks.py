"""Webhooks: what is accepted as one, and where its secret is, and is not."""

from dataclasses import replace
from hashlib import sha256
from typing import get_args

import pytest

from limen.errors import InvalidRequest
from limen.events import Event, WebhookChange, WebhookChanged
from limen.limen import Limen
from limen.settings import Settings
from limen.verify.webhooks import key_of
from limen.webhooks import KIND_NAMES, LONGEST_URL
from tests.clock import ManualClock
from tests.running import running
from tests.stored import everything
from tests.trails import stored

pytestmark = pytest.mark.anyio

OLD, NEW, OTHER = (sha256(word).hexdigest() for word in (b"old", b"new", b"other"))
URL = "https://crm.example.com/limen"

ACCEPTED = [
    URL,
    "https://crm.example.com",
    "https://crm.example.com:8443/a/b?token=of-the-receiver",
    "https://10.0.0.8/limen",
    "https://[fd00::8]:8443/limen",
    "http://localhost:9000/",
    "http://127.0.0.1:9000/",
    "http://[::1]:9000/",
    "http://[::ffff:127.0.0.1]:9000/",
    "http://crm.localhost:9000/",
]
REFUSED = [
    "",
    "crm.example.com/limen",
    "//crm.example.com/limen",
    "ftp://crm.example.com/limen",
    "https://",
    "https:///limen",
    "https://crm.example.com:port/limen",
    "https://crm.example.com:99999/limen",
    "https://[::1/limen",
    "https://[crm]/limen",
    "https://ada:secret@crm.example.com/limen",
    "https://crm.example.com/limen#here",
    "https://crm.example.com/ limen",
    "https://crm.example.com/\nlimen",
    "https://crm.example.com/\x00",
    "https://crm.exämple.com/limen",
    f"https://crm.example.com/{'x' * LONGEST_URL}",
    "http://crm.example.com/limen",
    "http://10.0.0.8/limen",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fe80::1]/limen",
    "http://0.0.0.0/limen",
    "http://[::ffff:10.0.0.8]/limen",
    "http://localhost.example.com/limen",
    "http://crmlocalhost/limen",
    "http://127.0.0.1.example.com/limen",
    "file:///etc/passwd",
]


async def test_an_address_is_https_or_this_very_machine(limen: Limen) -> None:
    for url in ACCEPTED:
        assert (await limen.features.webhooks.create(url, ["sign_in"])).url == url
    for url in REFUSED:
        with pytest.raises(InvalidRequest) as caught:
            await limen.features.webhooks.create(url, ["sign_in"])
        assert caught.value.field == "url", url

    assert len(await limen.features.webhooks.all()) == len(ACCEPTED)


@pytest.mark.parametrize("kinds", [[], [""], ["sign-in"], ["sign_in", "nothing"], ["*"]])
async def test_kinds_are_those_that_there_are(limen: Limen, kinds: list[str]) -> None:
    with pytest.raises(InvalidRequest, match="account") as caught:
        await limen.features.webhooks.create(URL, kinds)

    assert caught.value.field == "kinds"


async def test_each_kind_is_kept_once(limen: Limen) -> None:
    await limen.features.webhooks.create(URL, [*KIND_NAMES, *KIND_NAMES])
    (found,) = await limen.features.webhooks.all()

    assert found.kinds == tuple(sorted(KIND_NAMES))


async def test_a_secret_is_random_and_stands_nowhere(limen: Limen) -> None:
    made = [await limen.features.webhooks.create(URL, ["sign_in"]) for _ in range(2)]
    rotated = await limen.features.webhooks.rotate_secret(made[0].id)
    secrets = {*made[0].secrets, *made[1].secrets, rotated or ""}
    stored = await everything(limen)

    assert {len(key_of(secret)) for secret in secrets} == {32}
    assert len(secrets) == 3
    assert made[0].id.encode() in stored  # the search works
    assert not any(s.encode() in stored or key_of(s) in stored for s in secrets)
    assert not any(secret in repr(made) for secret in secrets)


@pytest.mark.parametrize("webhook", ["0" * 32, "", "\N{SNOWMAN}", "x" * 999])
async def test_who_is_not_there_cannot_be_changed(limen: Limen, webhook: str) -> None:
    webhooks = limen.features.webhooks
    there = await webhooks.create(URL, ["sign_in"])

    assert await webhooks.get(webhook) is None
    assert await webhooks.rotate_secret(webhook) is None
    assert not await webhooks.disable(webhook)
    assert not await webhooks.enable(webhook)
    assert not await webhooks.delete(webhook)
    assert await webhooks.all() == [there]


async def test_secrets_outlive_a_rotation_of_the_root_secret(
    settings: Settings, clock: ManualClock
) -> None:
    async with running(replace(settings, secret=(OLD,)), clock) as limen:
        made = await limen.features.webhooks.create(URL, ["sign_in"])
    for secret in ((NEW, OLD), (NEW,)):
        async with running(replace(settings, secret=secret), clock) as limen:
            found = await limen.features.webhooks.get(made.id)
            assert found == made


async def test_one_sealed_under_a_secret_that_has_gone_can_be_given_another(
    limen: Limen, clock: ManualClock
) -> None:
    made = await limen.features.webhooks.create(URL, ["sign_in"])
    await limen.features.webhooks._change(made.id, "secret_rotated", sealed=b"\0" * 64)
    (lost,) = await limen.features.webhooks.all()
    assert lost.secrets == ()

    secret = await limen.features.webhooks.rotate_secret(made.id)
    clock.tick(1)
    (found,) = await limen.features.webhooks.all()
    assert found.secrets == (secret,)


async def test_who_is_told_is_itself_recorded(limen: Limen, happened: list[Event]) -> None:
    webhooks = limen.features.webhooks
    made = await webhooks.create(URL, ["sign_in"])
    await webhooks.rotate_secret(made.id)
    await webhooks.disable(made.id)
    await webhooks.enable(made.id)
    await webhooks.delete(made.id)
    await webhooks.delete(made.id)

    changes: tuple[WebhookChange, ...] = get_args(WebhookChange)
    assert [event for event in happened if isinstance(event, WebhookChanged)] == [
        WebhookChanged(made.id, change)
        for change in ("created", "secret_rotated", "disabled", "enabled", "deleted")
    ]
    assert len(changes) == 5
    await limen.features.audit.seal()  # or what is bound meanwhile were found twice
    kept = [entry.outcome for entry in await stored(limen) if entry.kind == "webhook.changed"]
    assert sorted(kept) == sorted(changes)
