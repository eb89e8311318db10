"""`limen users`: changing accounts."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from limen.cli.asking import ask
from limen.cli.commands import Command
from limen.cli.opening import run
from limen.cli.output import show
from limen.cli.users import USER, document, find
from limen.settings import Settings

if TYPE_CHECKING:
    from limen.accounts import Account
    from limen.features import Features


@click.command("disable", cls=Command, examples=["limen users disable ada@example.com"])
@USER
def disable(user: str, as_json: bool) -> None:
    """Let an account sign in no more, and end its sessions.

    Running servers refuse its access tokens within about a second.
    """
    account = _change(user, lambda features, user_id: features.accounts.disable(user_id))
    lines = [f"Disabled {account.email}. Its sessions have ended."]
    show(document(account), lines, as_json=as_json)


@click.command("enable", cls=Command, examples=["limen users enable ada@example.com"])
@USER
def enable(user: str, as_json: bool) -> None:
    """Let an account sign in again. Sessions that have ended stay ended."""
    account = _change(user, lambda features, user_id: features.accounts.enable(user_id))
    show(document(account), [f"Enabled {account.email}."], as_json=as_json)


@click.command(
    "set-password",
    cls=Command,
    examples=[
        "limen users set-password ada@example.com",
        "openssl rand -base64 18 | tee new-password | limen users set-password ada@example.com",
    ],
)
@USER
def set_password(user: str, as_json: bool) -> None:
    """Give an account another password, and end its sessions.

    The password is asked for, or read as one line from standard input.
    """
    settings = Settings.from_environment()
    password = ask("New password", twice=True)
    account = _change(
        user,
        lambda features, user_id: features.accounts.set_password(user_id, password),
        settings,
    )
    lines = [f"{account.email} has a new password. Its sessions have ended."]
    show(document(account), lines, as_json=as_json)


@click.command("end-sessions", cls=Command, examples=["limen users end-sessions ada@example.com"])
@USER
def end_sessions(user: str, as_json: bool) -> None:
    """End all sessions of an account; it may sign in again at once."""
    account = _change(user, lambda features, user_id: features.accounts.end_sessions(user_id))
    show(document(account), [f"All sessions of {account.email} have ended."], as_json=as_json)


@click.command("require-reset", cls=Command, examples=["limen users require-reset ada@example.com"])
@USER
def require_reset(user: str, as_json: bool) -> None:
    """Let nobody sign in until another password was chosen, and end the account's sessions.

    Its owner is mailed a code to choose it with.
    """
    account = _change(user, lambda features, user_id: features.accounts.require_reset(user_id))
    lines = [f"{account.email} needs a new password. Its sessions have ended."]
    show(document(account), lines, as_json=as_json)


@click.command(
    "set-scope",
    cls=Command,
    examples=[
        "limen users set-scope ada@example.com admin billing",
        "limen users set-scope ada@example.com",
    ],
)
@USER
@click.argument("scopes", metavar="[SCOPE]...", nargs=-1)
def set_scope(user: str, scopes: tuple[str, ...], as_json: bool) -> None:
    """Give an account these scopes and no others; without any, take all away.

    Its access tokens are refused within about a second. Its sessions go on, and get the new scopes
    by refreshing. The scope 'admin' opens the administration.
    """
    scope = " ".join(scopes)
    account = _change(
        user, lambda features, user_id: features.accounts.set_access(user_id, scope=scope)
    )
    lines = [f"{account.email} has the scopes: {account.scope or 'none'}."]
    show(document(account), lines, as_json=as_json)


@click.command(
    "set-roles",
    cls=Command,
    examples=[
        "limen users set-roles ada@example.com editor reviewer",
        "limen users set-roles ada@example.com",
    ],
)
@USER
@click.argument("roles", metavar="[ROLE]...", nargs=-1)
def set_roles(user: str, roles: tuple[str, ...], as_json: bool) -> None:
    """Give an account these roles and no others; without any, take all away.

    Its access tokens are refused within about a second. Its sessions go on, and get the new roles
    by refreshing.
    """
    words = " ".join(roles)
    account = _change(
        user, lambda features, user_id: features.accounts.set_access(user_id, roles=words)
    )
    lines = [f"{account.email} has the roles: {account.roles or 'none'}."]
    show(document(account), lines, as_json=as_json)


@click.command("delete", cls=Command, examples=["limen users delete ada@example.com"])
@USER
def delete(user: str, as_json: bool) -> None:
    """Delete an account, with its sessions. There is no way back.

    Its address is free again, its user_id is never used again.
    """

    async def work(features: "Features") -> "Account":
        account = await find(features, user)
        await features.accounts.delete(account.user_id)
        return account

    account = run(Settings.from_environment(), work)
    show(document(account), [f"Deleted {account.email}."], as_json=as_json)


CHANGES = (
    *(disable, enable, set_scope, set_roles),
    *(set_password, require_reset, end_sessions, delete),
)


def _change(
    user: str,
    change: Callable[["Features", str], Awaitable[None]],
    settings: Settings | None = None,
) -> "Account":
    """Change the account, and return it as it is then."""

    async def work(features: "Features") -> "Account":
        user_id = (await find(features, user)).user_id
        await change(features, user_id)
        return await features.accounts.get(user_id)

    return run(settings or Settings.from_environment(), work)
