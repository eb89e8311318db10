"""`limen migrate`: the shape of the database."""

import click

from limen.cli.commands import FAILED, Command
from limen.cli.output import show
from limen.database.address import sqlite_path, without_password
from limen.settings import Settings


@click.command("migrate", cls=Command, examples=["limen migrate", "limen migrate --status"])
@click.option("--status", "only_status", is_flag=True, help="Change nothing; exit 1 if it would.")
def migrate(only_status: bool, as_json: bool) -> None:
    """Bring the database to the shape that this version of limen needs.

    On SQLite, 'limen serve' does so by itself at every start. On PostgreSQL it refuses to start
    until this was done, because other machines may still run the version before. Any other command
    leaves the database of an earlier version as it is.
    """
    from limen.database import migrate as database  # noqa: PLC0415  loads SQLAlchemy

    url = Settings.from_environment().database_url
    before = database.status(url) if only_status else database.migrate(url)
    shown = {"database": str(sqlite_path(url) or without_password(url))}
    document = {"before": before.current, "needed": before.needed, **shown}
    if before.is_current:
        show(document, [f"The database is at revision {before.needed}."], as_json=as_json)
        return
    was = before.current or "nothing"
    if only_status:
        line = f"The database is at {was} and needs {before.needed}: run 'limen migrate'."
        show(document, [line], as_json=as_json)
        raise SystemExit(FAILED)
    show(document, [f"Migrated the database from {was} to {before.needed}."], as_json=as_json)
