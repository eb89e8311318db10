"""Serve an ASGI application the way `limen serve` does: uvicorn with h11, one process, no log.

    python serve.py module:application [h11|httptools]

As there, garbage is not looked for among what is loaded: all requests would stop for a tenth of a
second meanwhile. Run as a file by the interpreter of whichever environment the application lives
in, so it imports nothing of ours. It prints its URL when it answers.
"""

import gc
import importlib
import socket
import sys

import uvicorn


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        for listener in sockets or ():
            host, port = listener.getsockname()
            sys.stdout.write(f"http://{host}:{port}\n")
            sys.stdout.flush()


def main() -> None:
    http = sys.argv[2] if len(sys.argv) > 2 else "h11"  # noqa: PLR2004
    gc.set_threshold(50_000)
    module, _, name = sys.argv[1].partition(":")
    sys.path.insert(0, ".")
    application = getattr(importlib.import_module(module), name)
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        application,
        http=http,
        loop="asyncio" if http == "h11" else "uvloop",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_level="warning",
    )
    _Server(config).run([listener])


if __name__ == "__main__":
    main()
