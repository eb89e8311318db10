"""`limen serve`."""

import click

from limen.cli.commands import Command
from limen.settings import Settings

MOST_WORKERS = 64


@click.command(
    "serve",
    cls=Command,
    examples=[
        "limen serve",
        "limen serve --port 8001",
        "limen serve --workers 4",
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
@click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    default=1,
    show_default=True,
    help="How many processes answer requests; one a core is a good beginning.",
)
@click.option("--worker", type=int, nargs=2, hidden=True)  # the listener and the line, inherited
def serve(
    host: str, port: int, workers: int, worker: tuple[int, int] | None, as_json: bool
) -> None:
    """Run limen as a service of its own, until SIGTERM or Ctrl-C.

    The database and the secret are made in the data directory at first start. Everything else is
    set by LIMEN_* environment variables. A stop lets requests in flight finish and exits with 0.

    With --workers, SIGHUP restarts the workers one after another: no request is refused meanwhile.

    With --json, where the service listens and what should not stay as it is in production is
    printed as one document on standard output, once it answers. Logs go to standard error.
    """
    # ruff: noqa: PLC0415  a wrong setting, or a port in use, must not wait for the rest
    settings = Settings.from_environment()
    from limen.cli import listener

    if worker is not None:
        from limen.cli.server import work

        with listener.inherited(worker[0]) as shared, listener.inherited(worker[1]) as line:
            work(settings, shared, line)
        return
    with listener.take(host, port) as taken:
        if workers > 1:
            from limen.cli.workers import supervise

            supervise(settings, taken, workers, as_json=as_json)
        else:
            from limen.cli.server import run

            run(settings, taken, as_json=as_json)
