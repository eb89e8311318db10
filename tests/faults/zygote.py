"""A parent of workers that cost little: it has built limen's application, and forks when told to.

An interpreter with limen takes more than a second to start. A fork of one takes none, and what is
left to do in it, opening the database and the port, some forty milliseconds: so a test can afford
two hundred workers. The parent runs no thread and no event loop, so that a fork of it is whole.

    python -m tests.faults.zygote FD START VARIABLES    a listening socket; when the workers' clock
                                                        started; LIMEN_* variables as JSON

    on its standard input     on its standard output
    fork                      ready PID              once that worker answers
    kill PID                  ended PID STATUS       once it is gone, and its sockets with it
                              saw OUTCOME            a refresh at a worker was not just a rotation

When its input ends, it kills its workers and goes. A worker serves the standalone application, and
under /operator what a program of the operator's would do with the same limen, so that a disabled
account and a new password can be interrupted by the kill as well.

The workers' clock is a hurried one: what is a minute to limen, the window in which a keyed refresh
hands out the same token again, is a fifth of a second here. So people rotate nearly always.
"""

import asyncio
import gc
import json
import os
import signal
import socket
import sys
from importlib import import_module

import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.applications import Starlette
from starlette.routing import Mount

from limen import app as standalone
from limen.clock import system_clock
from limen.errors import Busy, DatabaseUnavailable
from limen.events import Event, Refreshed
from limen.limen import Limen
from limen.settings import Settings
from tests.conftest import CHEAPEST

HURRY = 300

# What is imported at its first use, so that not every worker does it anew.
AT_FIRST_USE = ("limen.database.postgresql", "cryptography.hazmat.backends.openssl")


class HurriedClock:
    """Goes faster than the world from a moment on, which all processes must agree on."""

    def __init__(self, start: int) -> None:
        self.start = start

    def __call__(self) -> int:
        return self.start + (system_clock() - self.start) * HURRY


def main(descriptor: int, start: int, variables: dict[str, str]) -> None:
    limen = Limen(
        Settings.from_environment(variables),
        clock=HurriedClock(start),
        cost=CHEAPEST,
        subscribers=[_report],
    )
    config = _config(limen)
    for module in AT_FIRST_USE:
        import_module(module)
    workers: set[int] = set()
    gc.freeze()  # what is shared stays shared
    for line in sys.stdin:
        match line.split():
            case ["fork"]:
                workers.add(_forked(limen, config, descriptor))
            case ["kill", pid]:
                workers.remove(int(pid))
                _kill(int(pid))
    for pid in workers:
        _kill(pid)


def _config(limen: Limen) -> uvicorn.Config:
    application = Starlette(
        routes=[
            Mount("/operator", app=_operator(limen)),
            Mount("", app=standalone.build(limen)),
        ]
    )
    config = uvicorn.Config(
        application,
        ws="none",
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        log_config=None,
    )
    config.load()
    return config


def _operator(limen: Limen) -> FastAPI:
    operator = FastAPI(openapi_url=None)

    @operator.post("/{user_id}/{change}")
    async def change_account(user_id: str, change: str, request: Request) -> Response:
        accounts = limen.features.accounts
        try:
            match change:
                case "disable":
                    await accounts.disable(user_id)
                case "enable":
                    await accounts.enable(user_id)
                case "password":
                    await accounts.set_password(user_id, (await request.body()).decode())
                case _:
                    return Response(status_code=404)
        except (Busy, DatabaseUnavailable):
            return Response(status_code=503, headers={"Retry-After": "1"})
        return Response(status_code=204)

    return operator


def _forked(limen: Limen, config: uvicorn.Config, descriptor: int) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(_serve(limen, config, descriptor))
        except BaseException:
            sys.excepthook(*sys.exc_info())
            raise
        finally:
            os._exit(1)  # the loop of the parent is not the child's
    return pid


async def _serve(limen: Limen, config: uvicorn.Config, descriptor: int) -> None:
    # Only of a socket that says TCP does asyncio know that answers are not to wait for an ACK.
    listener = socket.socket(proto=socket.IPPROTO_TCP, fileno=descriptor)
    async with limen.lifespan():
        await _Server(config).serve(sockets=[listener])


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        _say(f"ready {os.getpid()}")


def _report(event: Event) -> None:
    if isinstance(event, Refreshed) and event.outcome != "rotated":
        _say(f"saw {event.outcome}")


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    _say(f"ended {pid} {os.waitstatus_to_exitcode(status)}")


def _say(line: str) -> None:
    os.write(sys.stdout.fileno(), f"{line}\n".encode())  # in one piece, whoever else speaks


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3]))
