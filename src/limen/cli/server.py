"""Serving: what one process of `limen serve` does once the settings are good.

The order makes every failure early and plain. First the port is taken, then the database is
opened, then requests are answered; a client that connects in between waits. limen is opened here
and not by uvicorn's lifespan protocol, so that what cannot start is raised to the command line as
what it is. The signals are handled here too: uvicorn would raise them once more when it is done,
and beside our own handlers would take the first Ctrl-C for the second, which does not wait.

The process may be the only one, or one of the workers of `limen.cli.workers`. A worker tells its
banner to the supervisor, which has the say, and stops when that has gone.
"""

import asyncio
import gc
import json
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn
from structlog.contextvars import bind_contextvars

from limen import app
from limen.cli.banner import Banner, announce
from limen.cli.connections import ACCEPTED_AT_ONCE, Connection, allow_many_files
from limen.cli.listener import BACKLOG
from limen.cli.worker import GRACEFUL_SECONDS, SECRET_DIGEST
from limen.errors import ConfigurationError
from limen.limen import Limen
from limen.secret import RootSecret
from limen.settings import Settings
from limen.telemetry.logs import configure
from limen.telemetry.shared_metrics import clear_away

KEEP_ALIVE_SECONDS = 5

_log = logging.getLogger("limen.serve")


def run(settings: Settings, listener: socket.socket, *, as_json: bool) -> None:
    """Serve alone until a signal comes.

    Raises:
        ConfigurationError: A setting, the secret or the data directory cannot be used.
        DatabaseUnavailable: The database cannot be opened.
    """

    def answering(banner: Banner) -> None:
        announce(banner, settings, as_json=as_json)

    _run(settings, listener, None, answering)


def work(settings: Settings, listener: socket.socket, line: socket.socket) -> None:
    """Serve as one of several, until a signal comes or the other end of the line closes.

    Raises:
        ConfigurationError, DatabaseUnavailable: As above; or the others have another secret.
    """
    digest = _digest_of_all(settings)

    def answering(banner: Banner) -> None:
        with suppress(OSError):  # nobody is there: the line's end stops us
            said = banner.document() | {SECRET_DIGEST: digest}
            line.sendall(json.dumps(said).encode() + b"\n")

    bind_contextvars(pid=os.getpid())  # into every line of the log
    _run(settings, listener, line, answering)
    if _has_gone(line):
        clear_away()  # the supervisor cannot do it


def _digest_of_all(settings: Settings) -> str:
    """Return the digest of our secret, which must be that of the workers before us."""
    # Before anything is opened: with the new secret the signing keys would be sealed anew.
    secret = RootSecret.load(settings.secret, settings.data_dir)
    digest = "".join(key.hex() for key in secret.derive_all("digest for workers", 16))
    if os.environ.get(SECRET_DIGEST, digest) != digest:
        problem = (
            "the workers that run have another, and both beside each other would sign people out: "
            "stop and start 'limen serve' to change it"
        )
        raise ConfigurationError("LIMEN_SECRET", problem, "a restart with the secret of before")
    return digest


def _has_gone(line: socket.socket) -> bool:
    line.setblocking(False)
    try:
        line.recv(1)
    except BlockingIOError:
        return False
    except OSError:
        pass  # gone before it had read our banner
    return True


def _run(
    settings: Settings,
    listener: socket.socket,
    line: socket.socket | None,
    answering: Callable[[Banner], None],
) -> None:
    configure(settings.log_format, settings.log_level)
    allow_many_files()
    asyncio.run(_serve(Limen(settings), listener, line, answering))


async def _serve(
    limen: Limen,
    listener: socket.socket,
    line: socket.socket | None,
    answering: Callable[[Banner], None],
) -> None:
    server = _Server(limen, lambda: answering(Banner.of(limen, listener.getsockname())))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop, number)
    if line is not None:
        loop.add_reader(line, _hung_up, server, line)
    async with limen.lifespan():
        gc.collect()
        gc.freeze()  # what is loaded stays: looking through it again would stop all requests
        if not server.should_exit:
            await server.serve(sockets=[listener])
    _log.info("stopped")


def _hung_up(server: "_Server", line: socket.socket) -> None:
    asyncio.get_running_loop().remove_reader(line)  # nothing is ever said but goodbye
    _log.error("the supervisor has gone")
    server.stop(signal.SIGTERM)


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
    def __init__(self, limen: Limen, answering: Callable[[], None]) -> None:
        super().__init__(_config(limen))
        self._limen = limen
        self._answering = answering

    def stop(self, number: int) -> None:
        """Finish what is in flight and stop; a second Ctrl-C stops at once."""
        _log.info("stopping", extra={"signal": signal.Signals(number).name})
        self._limen.end_long_polls()
        self.handle_exit(number, None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(BACKLOG)  # asyncio made the queue as short as what it accepts at once
        self._answering()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
