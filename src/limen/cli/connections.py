"""A connection of `limen serve`: begun requests must go on, and there is an end to how many.

uvicorn closes a connection on which nothing comes. One on which a head begins it keeps for ever,
and lets a byte now and then count as something. Each such connection holds a file descriptor, and
whoever opens as many as the process may have locks everybody else out, at no cost ("slow loris").

Here the whole head has to arrive within `HEAD_SECONDS`, counted from the opening of the connection
or from the end of the answer before. The body has a time of its own: `limen.api.requests`.

The descriptors do not run out. Without any, asyncio reports each attempt to accept with a
traceback, thousands a second, and the database cannot be opened either. So some are reserved, and
whoever comes when the others are in use is hung up on at once. In each turn of its loop asyncio
accepts as many as its backlog says, and it takes some turns to hang up: hence `ACCEPTED_AT_ONCE`.

When the process stops, uvicorn hangs up on whoever has nothing in flight. Whoever was just let in
has: the first request is on its way, and no other worker can answer it. It gets a second to come.
"""

import asyncio
import resource
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0  # as long as a body may take
FIRST_SECONDS = 1.0
ACCEPTED_AT_ONCE = 16
RESERVED_FILES = 8 * ACCEPTED_AT_ONCE  # the rest is for the database and the libraries


def allow_many_files() -> None:
    """Take as many descriptors as the system lets us have; 1024 is what select() could bear."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Connection(H11Protocol):
    """uvicorn's own, with an end to its patience."""

    head_seconds = HEAD_SECONDS

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        if len(self.connections) > _room():
            transport.abort()
        else:
            self._wait_for_a_head()

    def shutdown(self) -> None:
        """Close it after what is in flight, or what is sure to come."""
        first: object = self.cycle  # uvicorn declares it as if there always were one
        if first is None:
            self.loop.call_later(FIRST_SECONDS, super().shutdown)
        else:
            super().shutdown()

    def handle_events(self) -> None:
        """Work on what has arrived; a new cycle says that a whole head was in it."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request, before uvicorn looks whether it is here already."""
        self._wait_for_a_head()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_a_head(self) -> None:
        self._stop_waiting()
        self._patience = self.loop.call_later(self.head_seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def _room() -> int:
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return allowed - RESERVED_FILES
