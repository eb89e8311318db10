"""`limen serve`."""

import click

from limen.cli.commands import Command
from limen.settings import Settings


@click.command(
    "serve",
    cls=Command,
    examples=[
        "limen serve",
        "limen serve --port 8001",
        "LIMEN_PUBLIC_URL=https://login.example.com limen serve --host 0.0.0.0",
        "LIMEN_DATA_DIR=/srv/limen LIMEN_LOG_FORMAT=json limen serve",
    ],
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="The port to listen on; 0 takes a free one.",
)
def serve(host: str, port: int, as_json: bool) -> None:
    """Run limen as a service of its own, until SIGTERM or Ctrl-C.

    The database and the secret are made in the data directory at first start. Everything else is
    set by LIMEN_* environment variables. A stop lets requests in flight finish and exits with 0.

    With --json, where the service listens and what should not stay as it is in production is
    printed as one document on standard output, once it answers. Logs go to standard error.
    """
    settings = Settings.from_environment()
    from limen.cli.server import run  # noqa: PLC0415  a wrong setting must not wait for it

    run(settings, host, port, as_json=as_json)
