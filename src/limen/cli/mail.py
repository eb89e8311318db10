"""`limen mail`: does mail work, and what has become of it?"""

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

import click

from limen.cli.commands import Failed, Group
from limen.cli.opening import run
from limen.cli.output import moment, show, table
from limen.clock import system_clock
from limen.errors import ConfigurationError
from limen.settings import Settings

if TYPE_CHECKING:
    from limen.deliveries import Delivery


@click.group("mail", cls=Group)
def mail() -> None:
    """Try the mail server out, and see what has become of letters."""


@mail.command(
    "test",
    examples=[
        "limen mail test ada@example.com",
        "LIMEN_SMTP_URL=smtps://user:secret@mail.example.com limen mail test ada@example.com",
    ],
)
@click.argument("address")
def test(address: str, as_json: bool) -> None:
    """Send a message to ADDRESS now, and show what the mail server answers.

    Nothing is put into the outbox, and no database is needed. That the server has taken it does
    not mean yet that it arrives.
    """
    # ruff: noqa: PLC0415  help must not wait for them
    from limen import emails
    from limen.cli.mail_checks import told
    from limen.features import mail_delivery_of
    from limen.mail import written_down
    from limen.outbox import Letter, Undeliverable
    from limen.smtp import NotSent

    settings = Settings.from_environment()
    delivery = mail_delivery_of(settings)
    if delivery.server is None:
        problem = "is not set, so there is no mail server to send through"
        raise ConfigurationError("LIMEN_SMTP_URL", problem, "smtp://user:password@mail.example.com")
    delivery.check()
    to = emails.parse(address, allow_special=settings.special_email_domains).shown
    content, now = written_down(to, good_for=0), system_clock()
    letter = Letter(secrets.token_hex(16), "mail", "test", None, None, 1, now, content)
    try:
        accepted = asyncio.run(delivery.send(letter))
    except NotSent as error:
        raise Failed(told(delivery.server, error)) from None
    except Undeliverable as error:
        raise Failed(f"Nothing was sent: {error}") from None
    document = {"server": delivery.server.name, "answer": accepted.answer, "said": accepted.said}
    lines = [f"{delivery.server.name}: {accepted.answer} ({accepted.said})"]
    show(document, lines, as_json=as_json)


@mail.command(
    "outbox",
    examples=[
        "limen mail outbox",
        "limen mail outbox --all --json | jq '.[] | select(.state == \"failed\")'",
    ],
)
@click.option("--all", "all_", is_flag=True, help="Show what was delivered, too.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
def outbox(all_: bool, limit: int, as_json: bool) -> None:
    """Show the letters that wait or were given up, the newest first.

    Letters are mails, webhooks, and requests that are worked off. What is done with is kept for
    some days. Never shown are whom they are for and what they say.
    """
    found = run(
        Settings.from_environment(),
        lambda features: features.deliveries.newest(limit, delivered=all_),
    )
    rows = [("ID", "KIND", "SUBJECT", "STATE", "TRIES", "CREATED", "NEXT TRY", "ANSWER")]
    rows += [
        (
            *(one.id, one.kind, one.subject, one.outcome, str(one.attempts)),
            *(moment(one.created_at) or "", moment(one.due_at) or "-", one.answer or "-"),
        )
        for one in found
    ]
    nothing = "There are no letters." if all_ else "Nothing waits, and nothing was given up."
    show([_document(one) for one in found], table(rows) if found else [nothing], as_json=as_json)


def _document(one: "Delivery") -> dict[str, Any]:
    return {
        "id": one.id,
        "kind": one.kind,
        "subject": one.subject,
        "state": one.outcome,
        "attempts": one.attempts,
        "created_at": moment(one.created_at),
        "next_try_at": moment(one.due_at),
        "finished_at": moment(one.finished_at),
        "answer": one.answer,
    }
