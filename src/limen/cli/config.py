"""`limen config`: the settings."""

import click

from limen.cli.commands import Group
from limen.cli.output import show
from limen.secret import FILE_NAME, RootSecret
from limen.settings import Settings


@click.group("config", cls=Group)
def config() -> None:
    """Show and check the settings (LIMEN_* variables)."""


@config.command("show", examples=["limen config show", "LIMEN_AUDIENCE=shop limen config show"])
def show_(as_json: bool) -> None:
    """Show every option with its value, where that comes from, and the reason for its default.

    Secrets are hidden.
    """
    options = Settings.from_environment().describe()
    lines = [
        line
        for option in options
        for line in (
            f"{option.variable}={option.value}  ({option.source})",
            f"    {option.reason}",
        )
    ]
    show([option._asdict() for option in options], lines, as_json=as_json)


@config.command("check", examples=["limen config check", "limen config check && limen serve"])
def check(as_json: bool) -> None:
    """Check the settings and the secret; exit 78 with one line about the first mistake.

    The line names the variable, what is wrong with it, and a value that works.
    """
    settings = Settings.from_environment()
    if settings.secret is not None or (settings.data_dir / FILE_NAME).exists():
        RootSecret.load(settings.secret, settings.data_dir)
    show({"ok": True}, ["The configuration is good."], as_json=as_json)
