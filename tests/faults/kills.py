"""Workers that share one port, and are killed at random moments while people use them.

A kill -9 takes a worker away in the middle of whatever it does: before it took up a request, within
a transaction, or between the commit and the answer. The connections it had break, and their clients
try again; the other workers go on, and a new one starts at once in its place.
"""

import asyncio
import json
import random
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import httpx2

from limen.accounts import Accounts
from limen.clock import system_clock
from limen.errors import DatabaseUnavailable
from limen.features import Features

SECONDS = 60  # for anything that a worker does, on the busiest machine
BACKLOG = 512

_ROOT = Path(__file__).parent.parent.parent


class Workers:
    """The workers of one `tests.faults.zygote`.

    `killed` counts those killed under load; `saw` counts the refreshes that were not just a
    rotation, by their outcome.
    """

    def __init__(self, url: str, parent: Process) -> None:
        self.url = url
        self.killed = 0
        self.saw: Counter[str] = Counter()
        self._parent = parent
        self._starting = 0
        self._ready: list[int] = []
        self._ended: dict[int, int] = {}
        self._news = asyncio.Condition()

    async def start(self, number: int) -> None:
        """Start so many more, and wait until all answer."""
        for _ in range(number):
            self._fork()
        await self.all_answer()

    async def all_answer(self) -> None:
        """Wait for those that are starting."""
        await self._until(lambda: self._starting == 0)

    async def kill_one(self, dice: random.Random) -> None:
        """Kill one of those that answer, whichever, and start another in its place."""
        pid = self._ready.pop(dice.randrange(len(self._ready)))
        self._tell(f"kill {pid}")
        self._fork()
        await self._until(lambda: pid in self._ended)
        self.killed += 1

    async def start_anew(self, number: int) -> None:
        """Kill all of them, and then start so many that know only what is in the database."""
        await self.all_answer()
        for pid in self._ready:
            self._tell(f"kill {pid}")
        await self._until(lambda: self._ended.keys() >= {*self._ready})
        self._ready.clear()
        await self.start(number)

    async def listen(self) -> None:
        """Take note of what the parent and the workers say, until all of them have gone."""
        assert self._parent.stdout is not None
        async for line in self._parent.stdout:
            async with self._news:
                self._note(line.decode().split())
                self._news.notify_all()

    async def stop(self) -> int:
        """Have every worker killed; return how many of all had ended by themselves before."""
        assert self._parent.stdin is not None
        self._parent.stdin.close()
        await self._parent.wait()
        return sum(status != -signal.SIGKILL for status in self._ended.values())

    def _fork(self) -> None:
        self._starting += 1
        self._tell("fork")

    def _tell(self, line: str) -> None:
        assert self._parent.stdin is not None
        self._parent.stdin.write(f"{line}\n".encode())

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS), self._news:
            await self._news.wait_for(condition)

    def _note(self, words: list[str]) -> None:
        match words:
            case ["ready", pid]:
                self._starting -= 1
                self._ready.append(int(pid))
            case ["ended", pid, status]:
                self._ended[int(pid)] = int(status)
            case ["saw", outcome]:
                self.saw[outcome] += 1


class AtTheWorkers(Accounts):
    """Accounts that are changed by a request to a worker, so that its kill may interrupt it."""

    def __init__(self, url: str, features: Features, http: httpx2.AsyncClient) -> None:
        super().__init__(
            features.database,
            features.log,
            features.changes,
            features.passwords,
            emails=features.emails,
            requests=features.mail_requests,
            clock=system_clock,
        )
        self._url = url
        self._http = http

    async def disable(self, user_id: str) -> None:
        await self._ask(f"{user_id}/disable")

    async def enable(self, user_id: str) -> None:
        await self._ask(f"{user_id}/enable")

    async def set_password(self, user_id: str, password: str) -> None:
        await self._ask(f"{user_id}/password", password)

    async def _ask(self, what: str, body: str = "") -> None:
        try:
            answer = await self._http.post(f"{self._url}/operator/{what}", content=body)
        except httpx2.TransportError as error:
            raise DatabaseUnavailable from error  # for all the operator knows
        if answer.status_code != 204:
            raise DatabaseUnavailable


@asynccontextmanager
async def workers(number: int, variables: dict[str, str], log: Path) -> AsyncIterator[Workers]:
    """Run so many workers with these LIMEN_* variables; they write what goes wrong into `log`."""
    # Only of a socket that says TCP does asyncio know that answers are not to wait for an ACK.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener, log.open("w") as complaints:
        listener.bind(("127.0.0.1", 0))
        listener.listen(BACKLOG)
        parent = await _parent(listener, variables, complaints)
        running = Workers(f"http://127.0.0.1:{listener.getsockname()[1]}", parent)
        listening = asyncio.create_task(running.listen())
        try:
            await running.start(number)
            yield running
        finally:
            by_themselves = await running.stop()
            await listening
    assert by_themselves == 0, f"{by_themselves} workers ended by themselves: see {log}"


async def _parent(
    listener: socket.socket, variables: dict[str, str], complaints: IO[str]
) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "tests.faults.zygote"),
        *(str(listener.fileno()), str(system_clock()), json.dumps(variables)),
        stdin=PIPE,
        stdout=PIPE,
        stderr=complaints,
        pass_fds=[listener.fileno()],
        cwd=_ROOT,
    )
