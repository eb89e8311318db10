"""A worker as its supervisor sees it: a process, and a line to it.

It is a fresh interpreter, not a fork: it shares nothing with its supervisor but the listening
socket, and a restart takes up an upgraded package. `-P` keeps the current folder from shadowing
modules. A process group of its own keeps the terminal's Ctrl-C from it, which the supervisor
passes on.

The line is a pair of sockets. The worker says one thing, its banner, when it answers requests.
When its end closes the worker has ended; when ours closes the supervisor has, however it did, and
the worker stops: none goes on serving for ever with nobody to stop it.

With its banner it says by which secret it serves, as a digest. Those that are started later are
told in their environment, and refuse to start with another: beside each other, processes with an
old and a new secret would sign people out.
"""

import asyncio
import json
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Iterable, Mapping
from contextlib import suppress
from subprocess import DEVNULL
from typing import Any, Self

GRACEFUL_SECONDS = 10  # as long as container runtimes wait between SIGTERM and SIGKILL
SECRET_DIGEST = "_LIMEN_SECRET_DIGEST"  # noqa: S105  a name; with LIMEN_ first, an option
PATIENCE_SECONDS = GRACEFUL_SECONDS + 5  # then it is killed: it hangs, or cannot close its files


class Worker:
    """A running worker; `banner` is what it says of itself, once it answers."""

    def __init__(
        self, process: Process, line: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    ) -> None:
        self._process = process
        self._said, self._line = line
        self._started = asyncio.get_running_loop().time()
        self.pid = process.pid
        self.banner: Mapping[str, Any] | None = None
        self.early_deaths = 0  # of those before it, in a row

    @classmethod
    async def start(
        cls,
        listener: socket.socket,
        environment: Mapping[str, str],
        held: Iterable[int] = (),
        *,
        as_json: bool,
    ) -> Self:
        """Start a process that will serve on the listener; it keeps the files `held` open.

        Raises:
            OSError: The system has no room for it.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                words = [str(listener.fileno()), str(theirs.fileno()), *["--json"] * as_json]
                process = await asyncio.create_subprocess_exec(
                    *[sys.executable, "-P", *[f"-W{option}" for option in sys.warnoptions]],
                    *["-m", "limen", "serve", "--worker", *words],
                    stdin=DEVNULL,
                    env=environment,
                    pass_fds=(listener.fileno(), theirs.fileno(), *held),
                    process_group=0,
                )
        except BaseException:
            ours.close()
            raise
        return cls(process, await asyncio.open_connection(sock=ours))

    @property
    def age(self) -> float:
        """How many seconds ago it was started."""
        return asyncio.get_running_loop().time() - self._started

    async def answers(self) -> bool:
        """Wait until it answers requests, or has ended before it did."""
        with suppress(ConnectionError):
            said = await self._said.readline()
            if said.endswith(b"\n"):
                self.banner = json.loads(said)
        return self.banner is not None

    async def ended(self) -> int:
        """Wait for its end; return its exit code, or a signal's number below zero."""
        code = await self._process.wait()
        self._line.close()
        return code

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Have it finish what is in flight, and kill it if it takes too long."""
        # Before it answers it has no handlers, and would show a Ctrl-C as a traceback.
        self._send(number if self.banner is not None else signal.SIGTERM)
        asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._send, signal.SIGKILL)

    def _send(self, number: int) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)


def how(code: int) -> str:
    """Say how a process ended: "exit code 1", or "SIGKILL"."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"  # a real-time signal has no name
