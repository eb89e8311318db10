"""`limen token`: looking into a token."""

import click

from limen.cli.asking import ask
from limen.cli.commands import Group
from limen.cli.opening import run
from limen.cli.output import show
from limen.settings import Settings


@click.group("token", cls=Group)
def token() -> None:
    """Look into tokens."""


@token.command(
    "inspect",
    examples=[
        "limen token inspect",
        "xclip -o | limen token inspect",
        "limen token inspect --json < access-token | jq .detail",
    ],
)
def inspect(as_json: bool) -> None:
    """Decode an access or a refresh token, and say whether limen takes it, or why not.

    The token is asked for, or read as one line from standard input. Looking at it uses nothing
    up. The part of a refresh token that makes it secret is not shown. Exits with 0 whatever the
    verdict; in JSON that is "accepted".
    """
    settings = Settings.from_environment()
    text = ask("Token").strip().removeprefix("Bearer ")
    from limen.cli.inspection import inspect as look  # noqa: PLC0415  loads the features

    found = run(settings, lambda features: look(features, text))
    show(found.document(), found.lines(), as_json=as_json)
