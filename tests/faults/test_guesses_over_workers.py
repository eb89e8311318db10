"""A thousand guesses at one account, at once, over four workers: five of them reach the hash.

Four processes share nothing but a database. Each keeps its own guesses in lanes, but what decides
is the row of the limit, and it decides for all four. The guesses come from a thousand addresses.
Meanwhile the owner signs in, from a device that he has used before: it has slots of its own, so
that nobody can lock him out.
"""

import asyncio
import json
import re
import sys
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path

import httpx2
import pytest

from limen.limen import Limen
from limen.settings import Settings
from tests.cli.processes import Server, serving
from tests.people import AUTH, PASSWORD

pytestmark = pytest.mark.anyio

VICTIM = "victim@example.com"
WORKERS, GUESSES, OWNERS_SIGN_INS = 4, 1000, 3
SECONDS = 120  # for all of it, on the busiest machine

HASHES = re.compile(r"^limen_password_hashes_total (\d+)", re.MULTILINE)
SECRET = b64encode(sha256(b"what four workers have in common").digest()).decode()
SETTINGS = {
    "LIMEN_SECRET": SECRET,
    "LIMEN_TRUSTED_PROXIES": "127.0.0.1",
    "LIMEN_PASSWORD_HASH": "argon2id:m=7168,t=5,p=1",  # the least memory that is allowed
    "LIMEN_HASH_QUEUE_TIME": "60s",  # so that a slow machine does not call itself busy
    "LIMEN_LOG_LEVEL": "error",
}

_PROGRAM = f"""
from limen import cli
from limen.database import postgresql, sqlite

postgresql.PATIENCE_SECONDS = sqlite.BUSY_SECONDS = {SECONDS}
cli.main()
"""
PATIENT = (sys.executable, "-W", "error", "-c", _PROGRAM)

LOGIN = (
    "POST {path} HTTP/1.1\r\nHost: limen.test\r\nConnection: close\r\n"
    "X-Forwarded-For: {address}\r\n"
    "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
)


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Those of the limen that makes the database, and the victim's account in it."""
    return Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        signing_algorithm="ES256",
        secret=(SECRET,),
    )


@pytest.fixture
async def workers(tmp_path: Path, limen: Limen) -> AsyncIterator[Sequence[Server]]:
    """Four processes on one database, in which the victim has an account."""
    await limen.features.accounts.create(VICTIM, PASSWORD)
    settings = SETTINGS | {"LIMEN_DATABASE_URL": limen.settings.database_url}
    with ExitStack() as stack, ThreadPoolExecutor(WORKERS) as starting:
        homes = [tmp_path / f"worker-{number}" for number in range(WORKERS)]
        for home in homes:
            home.mkdir()
        servers = [serving(home / "data", command=PATIENT, **settings) for home in homes]
        yield [*starting.map(stack.enter_context, servers)]


def hashes(workers: Sequence[Server]) -> int:
    """Return how many passwords the workers have looked at, by their own count."""
    texts = [httpx2.get(f"{one.url}/metrics", trust_env=False).text for one in workers]
    return sum(int(count) for text in texts for count in HASHES.findall(text))


async def guess(port: int, number: int, everybody: asyncio.Barrier) -> int:
    """Send a wrong password from an address of its own, with everybody else; return the status.

    Over a bare socket: a client library would keep this process busier than the workers are.
    """
    body = json.dumps({"email": VICTIM, "password": f"guess number {number}"})
    address = f"203.{number // 250}.{number % 250}.7"
    sent = LOGIN.format(path=f"{AUTH}/login", address=address, length=len(body), body=body)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await everybody.wait()
    writer.write(sent.encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return int(answer.split(b" ", 2)[1])


async def sign_in(worker: Server, **headers: str) -> httpx2.Response:
    """Sign the owner in, from his own address."""
    headers |= {"X-Forwarded-For": "198.51.100.7"}
    body = {"email": VICTIM, "password": PASSWORD}
    async with httpx2.AsyncClient(base_url=worker.url, trust_env=False, timeout=SECONDS) as client:
        return await client.post(f"{AUTH}/login", json=body, headers=headers)


async def test_exactly_five_of_a_thousand_guesses_over_four_workers_reach_the_hash(
    workers: Sequence[Server],
) -> None:
    first = await sign_in(workers[0])
    device = {"Limen-Device": first.cookies["limen_device"]}
    before = hashes(workers)
    everybody = asyncio.Barrier(GUESSES)
    async with asyncio.timeout(SECONDS):
        crowd = asyncio.gather(
            *(guess(workers[n % WORKERS].port, n, everybody) for n in range(GUESSES))
        )
        owner = [await sign_in(workers[n], **device) for n in range(OWNERS_SIGN_INS)]
        statuses = Counter(await crowd)

    reached = hashes(workers) - before - OWNERS_SIGN_INS
    print(f"{GUESSES} guesses over {WORKERS} workers: {reached} hashes, answers {dict(statuses)}")
    assert [one.status_code for one in owner] == [200] * OWNERS_SIGN_INS
    assert reached == 5
    assert statuses == {401: 5, 429: GUESSES - 5}
