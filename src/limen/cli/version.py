"""`limen version`."""

import platform
import sqlite3

import click

from limen import __version__
from limen.cli.commands import Command
from limen.cli.output import show


@click.command("version", cls=Command, examples=["limen version", "limen version --json"])
def version(as_json: bool) -> None:
    """Show the versions of limen, Python and SQLite."""
    python, sqlite = platform.python_version(), sqlite3.sqlite_version
    document = {"limen": __version__, "python": python, "sqlite": sqlite}
    lines = [f"limen {__version__} (Python {python}, SQLite {sqlite})"]
    show(document, lines, as_json=as_json)
