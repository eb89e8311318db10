"""A limen that really listens: uvicorn on a loopback port, in this process and on this loop."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp


@asynccontextmanager
async def listening(app: ASGIApp, unix: Path | None = None) -> AsyncIterator[str]:
    """Serve the application for the length of the block, on TCP or at a path; give its base URL."""
    with _bound(unix) as listener:
        config = uvicorn.Config(
            app,
            http="h11",  # as limen serve, whatever else is installed
            proxy_headers=False,
            server_header=False,
            log_config=None,
            lifespan="off",
        )
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # pytest has its own
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110  uvicorn offers nothing to wait for
            await asyncio.sleep(0.005)
        try:
            name = listener.getsockname()
            yield "http://localhost" if unix else f"http://127.0.0.1:{name[1]}"
        finally:
            server.should_exit = True
            with suppress(asyncio.CancelledError):
                await task


def _bound(unix: Path | None) -> socket.socket:
    if unix:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(unix))
        return listener
    # Only of a socket that says TCP does asyncio know that answers are not to wait for an ACK.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    return listener
