"""`limen serve --workers N`: the settings, the socket and a folder to count in, for N processes.

The environment is all that the workers are told; each reads and checks the settings by itself.
Added to it are a share of the cores, unless LIMEN_HASH_THREADS says otherwise, the folder of
`limen.telemetry.shared_metrics` and, for those that come later, the digest of the secret by which
the first ones serve.
"""

import asyncio
import os
import socket
from functools import partial

from limen.cli.banner import Banner, announce
from limen.cli.commands import Failed
from limen.cli.supervisor import Supervisor
from limen.cli.worker import SECRET_DIGEST, Worker
from limen.settings import Settings
from limen.telemetry.logs import configure
from limen.telemetry.shared_metrics import SharedMetrics


def supervise(settings: Settings, listener: socket.socket, count: int, *, as_json: bool) -> None:
    """Serve with so many workers until a signal comes.

    Raises:
        Exit: A worker could not start; it has said why.
        Failed: It could not, without a word; or there is no folder to count in.
    """
    configure(settings.log_format, settings.log_level)

    with _shared_metrics() as metrics:
        environment = dict(os.environ, **metrics.environment)
        if "LIMEN_HASH_THREADS" not in environment:  # its default is all cores, for each
            environment["LIMEN_HASH_THREADS"] = str(max(1, settings.hash_threads // count))

        def answering(worker: Worker) -> None:
            said = dict(worker.banner or {})
            environment[SECRET_DIGEST] = said.pop(SECRET_DIGEST)
            announce(Banner.of_workers(count, said), settings, as_json=as_json)

        start = partial(Worker.start, listener, environment, [metrics.held], as_json=as_json)
        asyncio.run(Supervisor(count, start, metrics.let_go).run(answering))


def _shared_metrics() -> SharedMetrics:
    try:
        return SharedMetrics()
    except OSError as error:
        problem = (
            f"There is no folder for temporary files ({error.strerror}), in which workers count "
            "together: name one in TMPDIR."
        )
        raise Failed(problem) from None
