"""Serving: what `limen serve` does once the settings are good.

The order makes every failure early and plain. First the port is taken, then the database is
opened, then requests are answered; a client that connects in between waits. limen is opened here
and not by uvicorn's lifespan protocol, so that what cannot start is raised to the command line as
what it is. The signals are handled here too: uvicorn would raise them once more when it is done,
and beside our own handlers would take the first Ctrl-C for the second, which does not wait.
"""

import asyncio
import errno
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from limen import app
from limen.cli.banner import Banner
from limen.cli.commands import Failed
from limen.cli.connections import ACCEPTED_AT_ONCE, Connection, allow_many_files
from limen.cli.output import show
from limen.limen import Limen
from limen.settings import Settings
from limen.telemetry.logs import configure

GRACEFUL_SECONDS = 10  # as long as container runtimes wait between SIGTERM and SIGKILL
KEEP_ALIVE_SECONDS = 5
BACKLOG = 2048

_HIGHEST_PRIVILEGED_PORT = 1023

_log = logging.getLogger("limen.serve")


def run(settings: Settings, host: str, port: int, *, as_json: bool) -> None:
    """Serve until a signal comes.

    Raises:
        Failed: The address cannot be listened on.
        ConfigurationError: A setting, the secret or the data directory cannot be used.
        DatabaseUnavailable: The database cannot be opened.
    """
    configure(settings.log_format, settings.log_level)
    allow_many_files()
    with _listener(host, port) as listener:
        asyncio.run(_serve(Limen(settings), listener, as_json=as_json))


def announce(banner: Banner, settings: Settings, *, as_json: bool) -> None:
    """Tell a program, a person or the log that limen answers."""
    logs_json = settings.log_format == "json" or (
        settings.log_format == "auto" and not sys.stderr.isatty()
    )
    if as_json or not logs_json:
        show(banner.document(), banner.lines(), as_json=as_json, err=True)
    else:
        points = " ".join(banner.development_only)
        _log.info("serving", extra=banner.document() | {"development_only": points})


def _listener(host: str, port: int) -> socket.socket:
    # Only of a socket that says TCP does asyncio know that answers are not to wait for an ACK.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, UnicodeError) as error:
        listener.close()
        raise Failed(_why_not(error, host, port)) from None
    return listener


def _why_not(error: Exception, host: str, port: int) -> str:
    match getattr(error, "errno", None):
        case errno.EADDRINUSE:
            return (
                f"Port {port} of {host} is in use: stop what listens there, "
                f"or choose another with --port {port + 1 if port < 65535 else 8000}."  # noqa: PLR2004
            )
        case errno.EACCES | errno.EPERM if port <= _HIGHEST_PRIVILEGED_PORT:
            return f"Port {port} is not for ordinary users: choose another with --port 8000."
        case _:
            return (
                f"This machine cannot listen on {host}: use --host 127.0.0.1 for itself alone, "
                "or --host 0.0.0.0 for everybody."
            )


async def _serve(limen: Limen, listener: socket.socket, *, as_json: bool) -> None:
    def answering() -> None:
        announce(Banner.of(limen, listener.getsockname()), limen.settings, as_json=as_json)

    server = _Server(_config(limen), answering)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop, number)
    async with limen.lifespan():
        if not server.should_exit:
            await server.serve(sockets=[listener])
    _log.info("stopped")


def _config(limen: Limen) -> uvicorn.Config:
    return uvicorn.Config(
        app.build(limen),
        http=Connection,
        backlog=ACCEPTED_AT_ONCE,
        ws="none",
        lifespan="off",  # opened around the server
        proxy_headers=False,  # limen.clients reads them, and believes only trusted proxies
        server_header=False,
        access_log=False,  # limen.telemetry.requests writes the line
        log_config=None,
        # Its greetings say what the banner says.
        log_level="error" if limen.settings.log_level == "error" else "warning",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, answering: Callable[[], None]) -> None:
        super().__init__(config)
        self._answering = answering

    def stop(self, number: int) -> None:
        """Finish what is in flight and stop; a second Ctrl-C stops at once."""
        _log.info("stopping", extra={"signal": signal.Signals(number).name})
        self.handle_exit(number, None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(BACKLOG)  # asyncio made the queue as short as what it accepts at once
        self._answering()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
