"""The socket that `limen serve` listens on: taken here, or handed down by the supervisor.

It is taken before anything else is done, so that a port in use is told at once. Workers share one
socket: the kernel gives each connection to whichever of them accepts it first, and none is refused
while one worker goes and another comes.
"""

import errno
import socket

from limen.cli.commands import Failed

BACKLOG = 2048

_HIGHEST_PRIVILEGED_PORT = 1023


def take(host: str, port: int) -> socket.socket:
    """Listen on the address; port 0 is a free one.

    Raises:
        Failed: The address cannot be listened on.
    """
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


def inherited(descriptor: int) -> socket.socket:
    """Return the socket that was handed down, and hand it down no further.

    Raises:
        Failed: There is none.
    """
    try:
        handed_down = socket.socket(fileno=descriptor)
    except OSError:
        raise Failed("--worker is for limen itself: use --workers.") from None
    handed_down.set_inheritable(False)
    return handed_down


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
