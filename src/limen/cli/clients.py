"""`limen clients`: the services that may ask about tokens."""

from typing import TYPE_CHECKING, Any

import click

from limen.cli.commands import Failed, Group
from limen.cli.opening import run
from limen.cli.output import moment, show, table
from limen.settings import Settings

if TYPE_CHECKING:
    from limen.credentials import ApiClient


@click.group("clients", cls=Group)
def clients() -> None:
    """Make and delete the credentials of services that ask about tokens (RFC 7662).

    Services that verify tokens themselves need none.
    """


@clients.command(
    "create",
    examples=["limen clients create orders", "limen clients create orders --json | save-secret"],
)
@click.argument("name")
def create(name: str, as_json: bool) -> None:
    """Make the credentials of a service, and show its secret, this once.

    NAME is for people. A service may have several credentials at a time: to change a secret, make
    another pair, deploy it, and delete the first.
    """
    made = run(Settings.from_environment(), lambda features: features.credentials.create(name))
    shown = {"client_id": made.client.client_id, "client_secret": made.secret}
    document = {**_document(made.client), "client_secret": made.secret}
    show(document, table([*shown.items()]), as_json=as_json)
    if not as_json:
        click.echo("Keep the secret now: it cannot be shown again.", err=True)


@clients.command("list", examples=["limen clients list", "limen clients list --json"])
def list_(as_json: bool) -> None:
    """List the clients. No secret is ever shown again."""
    found = run(Settings.from_environment(), lambda features: features.credentials.all())
    rows = [("CLIENT_ID", "NAME", "CREATED")]
    rows += [(one.client_id, one.name, moment(one.created_at) or "") for one in found]
    lines = table(rows) if found else ["There are no clients."]
    show([_document(one) for one in found], lines, as_json=as_json)


@clients.command("delete", examples=["limen clients delete 5f0c9d6a41b24f0c8a7c2e1d3b4a5968"])
@click.argument("client_id", metavar="CLIENT_ID")
def delete(client_id: str, as_json: bool) -> None:
    """Delete the credentials of a service. They are refused at once."""
    settings = Settings.from_environment()
    if not run(settings, lambda features: features.credentials.delete(client_id)):
        raise Failed("There is no client of this id: 'limen clients list' shows them.")
    show({"client_id": client_id}, ["Deleted. It is refused from now on."], as_json=as_json)


def _document(client: "ApiClient") -> dict[str, Any]:
    return {
        "client_id": client.client_id,
        "name": client.name,
        "created_at": moment(client.created_at),
    }
