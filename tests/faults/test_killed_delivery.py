"""kill -9 of a server while it posts to a webhook: the next one posts the same message again.

A letter that was taken is nobody else's until its lease has passed, as who was killed cannot give
it back. So that nobody waits for a minute, the lease of the first server is a short one; the second
server is `limen serve` as it is.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from limen.verify.webhooks import verify
from tests.cli.processes import COMMAND, SECONDS, Server, run, serving
from tests.people import AUTH, PASSWORD
from tests.receiving import Receiver, receiving

pytestmark = pytest.mark.anyio

ADA = {"email": "ada@example.com", "password": PASSWORD}
LEASE_SECONDS = 3  # enough to be killed in
HASTY = (
    *(sys.executable, "-W", "error", "-c"),
    f"from limen import cli, outbox; outbox.LEASE = {LEASE_SECONDS} * outbox.SECOND; cli.main()",
)


@dataclass(frozen=True, slots=True)
class Installed:
    """What every process has in common; none keeps the receiver, which is here, from answering."""

    data: Path
    database_url: str

    async def say(self, *words: str, stdin: str = "") -> Any:
        """Run a command, and return what it says."""
        done = await asyncio.to_thread(
            run, self.data, *words, "--json", stdin=stdin, LIMEN_DATABASE_URL=self.database_url
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @asynccontextmanager
    async def serving(self, command: tuple[str, ...] = COMMAND) -> AsyncIterator[Server]:
        """Serve for the length of the block, at the end of which comes kill -9."""
        block = serving(self.data, command=command, LIMEN_DATABASE_URL=self.database_url)
        server = await asyncio.to_thread(block.__enter__)
        try:
            yield server
        finally:
            block.__exit__(None, None, None)


@pytest.fixture
def installed(tmp_path: Path, database_url: str) -> Installed:
    return Installed(tmp_path / "data", database_url)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


async def arrival(receiver: Receiver) -> None:
    """Wait for the next message."""
    async with asyncio.timeout(LEASE_SECONDS + SECONDS):
        await receiver.arrived.wait()
    receiver.arrived.clear()


async def sign_in(server: Server) -> int:
    async with httpx2.AsyncClient(base_url=server.url, trust_env=False, timeout=SECONDS) as http:
        return (await http.post(f"{AUTH}/login", json=ADA)).status_code


async def settled(installed: Installed) -> dict[str, Any]:
    """Return the only letter when nobody is to try it any more."""
    async with asyncio.timeout(SECONDS):
        while True:
            (letter,) = await installed.say("webhooks", "deliveries")
            if letter["next_try_at"] is None:
                return dict(letter)


async def test_what_a_killed_server_was_posting_is_posted_again_by_the_next(
    installed: Installed, receiver: Receiver
) -> None:
    await installed.say("users", "create", ADA["email"], stdin=PASSWORD)
    made = await installed.say("webhooks", "create", receiver.url, "--event", "sign_in")
    receiver.hangs = True
    async with installed.serving(HASTY) as server:
        assert await sign_in(server) == 200
        await arrival(receiver)

    killed_at, receiver.hangs = time.monotonic(), False
    async with installed.serving():
        await arrival(receiver)
        took = time.monotonic() - killed_at
        letter = await settled(installed)

    first, again = receiver.posts
    print(f"posted again {took:.1f} s after the kill, with a lease of {LEASE_SECONDS} s")
    assert (first.id, first.body) == (again.id, again.body)
    assert first.headers["webhook-timestamp"] < again.headers["webhook-timestamp"]
    for post in (first, again):
        message = verify(post.headers, post.body, made["secret"])
        assert (message.id, message.type) == (letter["id"], "sign_in")
    assert (letter["outcome"], letter["attempts"]) == ("delivered", 2)
