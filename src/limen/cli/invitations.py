"""`limen users invite`: an account for somebody who chooses his own password."""

from typing import TYPE_CHECKING

import click

from limen.cli.commands import Command, Failed
from limen.cli.opening import run
from limen.cli.output import show
from limen.settings import Settings

if TYPE_CHECKING:
    from limen.features import Features
    from limen.invitations import Invited

_NO_MAIL = (
    "No mail server is set here (LIMEN_SMTP_URL): the mail can be read at /dev/inbox of a server "
    "on this machine, and --show-link shows the link."
)


@click.command(
    "invite",
    cls=Command,
    examples=[
        "limen users invite ada@example.com",
        "limen users invite ada@example.com --scope billing --role accountant",
        "limen users invite ada@example.com --show-link",
    ],
)
@click.argument("email")
@click.option("--scope", "scopes", multiple=True, help="A scope for its tokens; may be repeated.")
@click.option("--role", "roles", multiple=True, help="A role for its tokens; may be repeated.")
@click.option(
    "--show-link",
    is_flag=True,
    help="Print the link of the invitation, too. Whoever has it can open the account.",
)
def invite(
    email: str, scopes: tuple[str, ...], roles: tuple[str, ...], show_link: bool, as_json: bool
) -> None:
    """Open an account for somebody, and mail him an invitation to choose its password.

    Inviting him again, before he has come, sends another one and voids the first.
    """
    settings = Settings.from_environment()
    if settings.registration == "closed":
        raise Failed("LIMEN_REGISTRATION is closed, so nobody could accept an invitation.")

    async def work(features: "Features") -> "Invited":
        return await features.invitations.invite(
            email, scope=" ".join(scopes), roles=" ".join(roles)
        )

    invited = run(settings, work, may_create=True)
    account = invited.account
    document = {"user_id": account.user_id, "email": account.email}
    lines = [f"Invited {account.email}, user_id {account.user_id}."]
    if show_link:
        document["link"] = f"{settings.public_url}/account#invite={invited.code.token}"
        lines.append(document["link"])
    elif settings.smtp_url is None:
        lines.append(_NO_MAIL)
    show(document, lines, as_json=as_json)
