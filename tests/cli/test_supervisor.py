"""The supervisor alone, over processes that are workers in nothing but what they say."""

import asyncio
import logging
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from pathlib import Path

import pytest

from limen.cli.supervisor import Supervisor
from limen.cli.worker import Worker

ANSWERS = "echo '{}' >&3; exec sleep 60"
HANGS = "exec sleep 60"


async def worker(script: str) -> Worker:
    ours, theirs = socket.socketpair()
    with theirs:
        words = f"exec 3>&{theirs.fileno()}; {script}"
        process: Process = await asyncio.create_subprocess_exec(
            "/bin/bash", "-c", words, pass_fds=[theirs.fileno()], process_group=0
        )
    return Worker(process, await asyncio.open_connection(sock=ours))


def test_a_replacement_that_never_answers_is_ended_and_the_old_workers_go_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("limen.cli.supervisor.PATIENCE_SECONDS", 3.0)
    monkeypatch.setattr("limen.cli.supervisor._has_terminal", lambda: False)
    started: list[Worker] = []
    ended: list[int] = []

    async def start() -> Worker:
        started.append(await worker(HANGS if len(started) == 2 else ANSWERS))
        return started[-1]

    def let_go(pid: int) -> None:
        ended.append(pid)
        if len(ended) == 1:
            asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), signal.SIGTERM)

    def answering(_first: Worker) -> None:
        os.kill(os.getpid(), signal.SIGHUP)

    caplog.set_level(logging.INFO, "limen.serve")
    asyncio.run(Supervisor(2, start, let_go).run(answering))

    pids = [one.pid for one in started]
    assert len(pids) == 3
    assert ended[0] == pids[2]  # before anybody was asked to stop
    said = [record.getMessage() for record in caplog.records]
    silent = said.index("worker does not answer, and is ended")
    assert said[silent + 1] == "restart given up, the old workers go on"
    assert said[silent + 2] == "stopping"
    assert caplog.records[silent].__dict__["pid"] == pids[2]


def test_the_first_workers_have_all_the_time_they_want(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limen.cli.supervisor.PATIENCE_SECONDS", 0.01)
    answered = []

    def answering(first: Worker) -> None:
        answered.append(first.banner)
        os.kill(os.getpid(), signal.SIGTERM)

    async def start() -> Worker:
        return await worker(f"sleep 0.2; {ANSWERS}")

    asyncio.run(Supervisor(2, start, lambda _: None).run(answering))
    assert answered == [{}]


def test_a_worker_that_cannot_be_started_leaves_nothing_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere")

    def opened() -> set[str]:
        return {path.name for path in Path("/proc/self/fd").iterdir()}

    async def start() -> tuple[set[str], set[str]]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            before = opened()
            with pytest.raises(FileNotFoundError) as failed:
                await Worker.start(listener, {}, as_json=False)
            assert failed.traceback  # it holds on to what was not closed
            return before, opened()

    before, after = asyncio.run(start())
    assert after == before
