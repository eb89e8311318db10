"""`limen users`: the accounts."""

from typing import TYPE_CHECKING, Any

import click

from limen.cli.asking import ask
from limen.cli.commands import Group
from limen.cli.opening import run
from limen.cli.output import moment, show, table
from limen.errors import AccountNotFound
from limen.settings import Settings

if TYPE_CHECKING:
    from limen.accounts import Account
    from limen.features import Features

ADMIN = "admin"  # limen.administration.SCOPE, which help must not wait for

USER = click.argument("user", metavar="USER")


@click.group("users", cls=Group)
def users() -> None:
    """Create, find and change accounts.

    USER is a user_id or an e-mail address, in any spelling. All of this works while a server is
    running, and needs none.
    """


@users.command(
    "create",
    examples=[
        "limen users create ada@example.com",
        "limen users create ada@example.com --admin",
        "limen users create ada@example.com --scope orders --scope billing",
        "pass show ada | limen users create ada@example.com --json",
        "limen users create ada@example.com --password-hash < ada.hash",
    ],
)
@click.argument("email")
@click.option("--scope", "scopes", multiple=True, help="A scope for its tokens; may be repeated.")
@click.option("--admin", is_flag=True, help="It may administrate: the scope 'admin'.")
@click.option(
    "--password-hash",
    "hashed",
    is_flag=True,
    help="Standard input holds a hash that another system made (Argon2, bcrypt, scrypt, "
    "Django's PBKDF2), not a password. It is replaced by a new one at the first sign-in.",
)
def create(email: str, scopes: tuple[str, ...], admin: bool, hashed: bool, as_json: bool) -> None:
    """Create an account.

    The password is asked for, or read as one line from standard input.
    """
    settings = Settings.from_environment()
    scope = " ".join([ADMIN, *scopes] if admin and ADMIN not in scopes else scopes)
    secret = ask("Password hash") if hashed else ask("Password", twice=True)

    async def work(features: "Features") -> "Account":
        accounts = features.accounts
        if hashed:
            return await accounts.create_with_hash(email, secret, scope=scope)
        return await accounts.create(email, secret, scope=scope)

    account = run(settings, work, may_create=True)
    lines = [f"Created {account.email}, user_id {account.user_id}."]
    show(document(account), lines, as_json=as_json)


@users.command(
    "list",
    examples=[
        "limen users list",
        "limen users list --limit 1000 --json | jq -r '.[].user_id'",
        "limen users list --after 5f0c9d6a41b24f0c8a7c2e1d3b4a5968",
    ],
)
@click.option("--after", default="", metavar="USER_ID", help="Go on behind this user_id.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
def list_(after: str, limit: int, as_json: bool) -> None:
    """List accounts, in the order of their user_ids, a page at a time.

    As JSON, a page is an array; one that is shorter than the limit is the last.
    """
    page = run(
        Settings.from_environment(),
        lambda features: features.accounts.page(after=after, limit=limit),
    )
    rows = [("USER_ID", "E-MAIL", "CREATED", "STATE", "SCOPE")]
    rows += [
        (row.user_id, row.email, moment(row.created_at) or "", _state(row), row.scope)
        for row in page
    ]
    none = "There are no more accounts." if after else "There are no accounts."
    lines = table(rows) if page else [none]
    show([document(account) for account in page], lines, as_json=as_json)
    if len(page) == limit and not as_json:
        click.echo(f"There may be more: --after {page[-1].user_id}", err=True)


@users.command(
    "show", examples=["limen users show ada@example.com", "limen users show ada@example.com --json"]
)
@USER
def show_(user: str, as_json: bool) -> None:
    """Show an account."""
    account = run(Settings.from_environment(), lambda features: find(features, user))
    shown = document(account)
    lines = table([(name, "-" if value is None else str(value)) for name, value in shown.items()])
    show(shown, lines, as_json=as_json)


async def find(features: "Features", user: str) -> "Account":
    """Return the account that USER means."""
    if "@" not in user:
        return await features.accounts.get(user)
    account = await features.accounts.find(user)
    if account is None:
        raise AccountNotFound
    return account


def document(account: "Account") -> dict[str, Any]:
    """Return the account as --json shows it."""
    return {
        "user_id": account.user_id,
        "email": account.email,
        "scope": account.scope,
        "roles": account.roles,
        "created_at": moment(account.created_at),
        "disabled_at": moment(account.disabled_at),
        "reset_required_at": moment(account.reset_required_at),
    }


def _state(account: "Account") -> str:
    if account.disabled_at is not None:
        return "disabled"
    return "active" if account.reset_required_at is None else "reset required"
