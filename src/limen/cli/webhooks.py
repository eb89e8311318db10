"""`limen webhooks`: who is told what happens."""

from typing import TYPE_CHECKING, Any, TypeVar

import click

from limen.cli.commands import Failed, Group
from limen.cli.opening import run
from limen.cli.output import moment, show, table
from limen.settings import Settings

if TYPE_CHECKING:
    from limen.features import Features
    from limen.webhook_letters import WebhookLetter
    from limen.webhooks import Webhook

T = TypeVar("T")

_KEEP = "Keep the secret now: it cannot be shown again."
_ID = "7d1f0c9d6a41b24f0c8a7c2e1d3b4a59"


@click.group("webhooks", cls=Group)
def webhooks() -> None:
    """Have limen tell other services what happens, signed, and until they have taken it.

    A running server begins to tell a new webhook within two seconds.
    """


@webhooks.command(
    "create",
    examples=[
        "limen webhooks create https://crm.example.com/limen --event account.changed",
        "limen webhooks create http://localhost:9000/ --event session.ended --event sign_in",
    ],
)
@click.argument("url", metavar="URL")
@click.option("kinds", "--event", multiple=True, metavar="KIND", help="Repeat it for several.")
def create(url: str, kinds: tuple[str, ...], as_json: bool) -> None:
    """Have events posted to URL, and show the secret that signs them, this once.

    Without --event it says which kinds there are. URL is https, or http on this machine.
    """
    settings = Settings.from_environment()
    made = run(settings, lambda features: features.webhooks.create(url, kinds))
    (secret,) = made.secrets
    lines = table([("id", made.id), ("secret", secret)])
    show({**_document(made), "secret": secret}, lines, as_json=as_json)
    if not as_json:
        click.echo(_KEEP, err=True)


@webhooks.command("list", examples=["limen webhooks list", "limen webhooks list --json"])
def list_(as_json: bool) -> None:
    """List the webhooks. No secret is ever shown again."""
    found = run(Settings.from_environment(), lambda features: features.webhooks.all())
    rows = [("ID", "STATE", "EVENTS", "URL")]
    rows += [(one.id, _state(one), ",".join(one.kinds), one.url) for one in found]
    lines = table(rows) if found else ["There are no webhooks."]
    show([_document(one) for one in found], lines, as_json=as_json)


@webhooks.command("delete", examples=[f"limen webhooks delete {_ID}"])
@click.argument("webhook", metavar="ID")
def delete(webhook: str, as_json: bool) -> None:
    """Delete a webhook. It gets nothing any more, nor what it has not yet taken."""
    _required(run(Settings.from_environment(), lambda features: features.webhooks.delete(webhook)))
    show({"id": webhook}, ["Deleted."], as_json=as_json)


@webhooks.command("disable", examples=[f"limen webhooks disable {_ID}"])
@click.argument("webhook", metavar="ID")
def disable(webhook: str, as_json: bool) -> None:
    """Tell a webhook nothing until it is enabled; what it has not yet taken is given up."""
    settings = Settings.from_environment()
    _required(run(settings, lambda features: features.webhooks.disable(webhook)))
    show({"id": webhook}, ["Disabled."], as_json=as_json)


@webhooks.command("enable", examples=[f"limen webhooks enable {_ID}"])
@click.argument("webhook", metavar="ID")
def enable(webhook: str, as_json: bool) -> None:
    """Tell a webhook again what happens, from about now on."""
    _required(run(Settings.from_environment(), lambda features: features.webhooks.enable(webhook)))
    show({"id": webhook}, ["Enabled."], as_json=as_json)


@webhooks.command(
    "deliveries", examples=["limen webhooks deliveries", f"limen webhooks deliveries {_ID} --json"]
)
@click.argument("webhook", metavar="[ID]", required=False)
def deliveries(webhook: str | None, as_json: bool) -> None:
    """Show what became of the newest hundred messages, to one webhook or to all.

    They are kept for a week after they were delivered or given up.
    """
    settings = Settings.from_environment()
    found = run(settings, lambda features: features.webhook_letters.newest(webhook))
    rows = [("MESSAGE", "EVENT", "CREATED", "OUTCOME", "TRIES", "ANSWER", "NEXT TRY")]
    rows += [
        (
            one.id,
            one.subject,
            moment(one.created_at) or "",
            one.outcome,
            str(one.attempts),
            one.answer or "",
            moment(one.due_at) or "",
        )
        for one in found
    ]
    lines = table(rows) if found else ["Nothing has been sent of late."]
    show([_letter(one) for one in found], lines, as_json=as_json)


@webhooks.command("test", examples=[f"limen webhooks test {_ID}"])
@click.argument("webhook", metavar="ID")
def test(webhook: str, as_json: bool) -> None:
    """Post a message of the type "test" from here, now and once, and show what is answered."""
    from limen.outbox import NotDelivered, Undeliverable  # noqa: PLC0415  loads the database

    async def post(features: "Features") -> str:
        return await features.webhook_delivery.test(_required(await features.webhooks.get(webhook)))

    try:
        answer = run(Settings.from_environment(), post)
    except (NotDelivered, Undeliverable) as reason:
        raise Failed(f"It was not taken: {reason}.") from None
    show({"id": webhook, "answer": answer}, [f"Taken: {answer}"], as_json=as_json)


@webhooks.command("rotate-secret", examples=[f"limen webhooks rotate-secret {_ID}"])
@click.argument("webhook", metavar="ID")
def rotate_secret(webhook: str, as_json: bool) -> None:
    """Give a webhook another secret, and show it, this once.

    The secret before signs beside it for a day. If that has leaked, do this twice.
    """
    settings = Settings.from_environment()
    secret = _required(run(settings, lambda features: features.webhooks.rotate_secret(webhook)))
    show({"id": webhook, "secret": secret}, table([("secret", secret)]), as_json=as_json)
    if not as_json:
        click.echo(_KEEP, err=True)


def _required(found: T | None) -> T:
    if not found:
        raise Failed("There is no webhook of this id: 'limen webhooks list' shows them.")
    return found


def _state(webhook: "Webhook") -> str:
    return "enabled" if webhook.disabled_at is None else "disabled"


def _document(webhook: "Webhook") -> dict[str, Any]:
    return {
        "id": webhook.id,
        "url": webhook.url,
        "events": [*webhook.kinds],
        "created_at": moment(webhook.created_at),
        "disabled_at": moment(webhook.disabled_at),
    }


def _letter(letter: "WebhookLetter") -> dict[str, Any]:
    return {
        "id": letter.id,
        "webhook": letter.target,
        "event": letter.subject,
        "outcome": letter.outcome,
        "attempts": letter.attempts,
        "answer": letter.answer,
        "created_at": moment(letter.created_at),
        "next_try_at": moment(letter.due_at),
        "finished_at": moment(letter.finished_at),
    }
