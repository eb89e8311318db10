"""Processes that share one file, against a limen on a real socket."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limen import app as standalone
from limen.client import FileStore, LimenAuth
from limen.limen import Limen
from tests.clock import ManualClock
from tests.people import AUTH, PASSWORD, Person
from tests.serving import listening

pytestmark = pytest.mark.anyio

CALLS = 25
SECONDS = 60  # longer than anything here takes on a busy machine


@dataclass
class Watched:
    """Lets a limen refresh, and takes down how. While it is not `open`, answers wait."""

    app: ASGIApp
    clock: ManualClock
    keys: list[str] = field(default_factory=list)
    given: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    open: asyncio.Event = field(default_factory=asyncio.Event)
    answering: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != f"{AUTH}/refresh":
            await self.app(scope, receive, send)
            return

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.body":
                self.given.append(json.loads(message["body"])["refresh_token"])
                self.answering.set()
                await self.open.wait()
            await send(message)

        self.keys.append(dict(scope["headers"])[b"idempotency-key"].decode())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            self.clock.tick(61)  # or this one would get the token of the last one again
            await self.app(scope, receive, watched)
        finally:
            self.at_once -= 1


@dataclass(frozen=True, slots=True)
class Place:
    url: str
    store: FileStore
    watched: Watched

    @asynccontextmanager
    async def program(self, times: int) -> AsyncIterator[asyncio.subprocess.Process]:
        words = ("-m", "tests.client.program", self.url, str(self.store.path), str(times))
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, stdout=asyncio.subprocess.PIPE
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


@pytest.fixture
async def place(
    limen: Limen, clock: ManualClock, ada: Person, tmp_path: Path
) -> AsyncIterator[Place]:
    """A limen that listens, and a file in which Ada is signed in to it."""
    watched = Watched(standalone.build(limen), clock)
    watched.open.set()
    store = FileStore(tmp_path / "session")
    async with listening(watched) as url:
        await LimenAuth(url, store=store).asign_in(ada.email, PASSWORD)
        yield Place(url, store, watched)


async def test_two_processes_refresh_one_at_a_time(place: Place) -> None:
    async with place.program(CALLS) as one, place.program(CALLS) as other, asyncio.timeout(SECONDS):
        said = await asyncio.gather(one.communicate(), other.communicate())

    watched = place.watched
    print(f"{len(watched.keys)} refreshes by two processes, {watched.most_at_once} at once")
    assert [out.split() for out, _ in said] == [[b"200"] * CALLS] * 2
    # A call may do with what the other process has just got.
    assert len(watched.keys) > CALLS // 2
    assert len(set(watched.keys)) == len(set(watched.given)) == len(watched.keys)
    assert watched.most_at_once == 1


async def test_who_follows_a_killed_process_gets_the_same_successor(place: Place) -> None:
    watched = place.watched
    watched.open.clear()
    async with asyncio.timeout(SECONDS):
        async with place.program(1) as process:
            await watched.answering.wait()
            process.kill()
            await process.wait()
        tokens = place.store.load().tokens
        assert tokens is not None
        assert tokens.retry_key == watched.keys[0]
        watched.open.set()
        async with place.program(1) as process:
            said, _ = await process.communicate()

    assert said.split() == [b"200"]
    assert watched.keys == [watched.keys[0]] * 2
    assert watched.given == [watched.given[0]] * 2
    successor = place.store.load().tokens
    assert successor is not None
    assert successor.refresh_token == watched.given[0] != tokens.refresh_token
    assert successor.retry_key is None
