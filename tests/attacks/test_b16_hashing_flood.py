"""B16: sign-ins cost the server more than the attacker, so that a flood of them stops everything.

Hashing has room for so many and no more. Whoever finds it full is told so in milliseconds, before
anything else is done, and everything that needs no hash goes on.
"""

import asyncio
import http.client
import json
import socket
import time
from collections import Counter
from pathlib import Path

import httpx2
import pytest

from limen import app as standalone
from limen.cli.connections import Connection
from limen.events import Event
from limen.limen import Limen
from limen.settings import Settings
from tests.conftest import CHEAPEST
from tests.crowds import full, hashes, occupied, until
from tests.loopback import serving
from tests.people import AUTH, PASSWORD, Person, attempt, guess
from tests.stored import slots_taken

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        signing_algorithm="ES256",
        hash_threads=1,
        hash_queue_time=1,
    )


async def test_a_flood_is_refused_and_only_sign_ins_notice(
    limen: Limen, wire: httpx2.AsyncClient, happened: list[Event]
) -> None:
    await limen.features.accounts.create("ada@example.com", PASSWORD)
    ada = Person(wire, "ada@example.com", "")
    await ada.sign_in()
    taken = await slots_taken(limen)
    async with full(limen.features.room):
        happened.clear()
        flood = await asyncio.gather(
            *(guess(wire, f"user{number}@example.com") for number in range(200))
        )
        register = {"email": "new@example.com", "password": PASSWORD}
        busy = await wire.post(f"{AUTH}/register", json=register)

        assert Counter(one.status_code for one in [*flood, busy]) == {503: 201}
        assert {one.json()["code"] for one in flood} == {"busy"}
        assert all(int(one.headers["retry-after"]) >= 1 for one in flood)
        assert hashes(happened) == 0

        assert (await ada.me()).status_code == 200
        assert (await ada.refresh()).status_code == 200
        assert (await wire.get("/healthz")).status_code == 200
        assert (await wire.get("/.well-known/jwks.json")).status_code == 200
        assert (await ada.log_out()).status_code == 204
    after = await slots_taken(limen)

    assert {name: after[name] for name in taken} == taken  # nobody has used an attempt up
    assert (await attempt(wire, "ada@example.com")).status_code == 200


async def test_a_refusal_takes_milliseconds(limen: Limen, http: httpx2.AsyncClient) -> None:
    """The best of many, for the machine may be busy."""
    took = []
    async with full(limen.features.room):
        for _ in range(30):
            began = time.perf_counter()
            assert (await guess(http, "ada@example.com")).status_code == 503
            took.append(time.perf_counter() - began)

    assert min(took) < 0.02


@pytest.mark.parametrize("size", [300, 100_000], ids=["usual", "too-large"])
async def test_what_is_refused_is_not_waited_for_and_its_connection_goes_on(
    settings: Settings, size: int
) -> None:
    """The head alone is answered; the body may come then, and the next request after it."""
    limen = Limen(settings, cost=CHEAPEST)
    head = f"POST {AUTH}/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
    with (
        serving(standalone.build(limen), http=Connection) as port,
        socket.create_connection(("127.0.0.1", port), timeout=60) as connection,
    ):
        limen.features.room._queue_time = -1.0  # nobody's turn would come in time
        connection.sendall(head.encode())
        refused = http.client.HTTPResponse(connection, method="POST")
        refused.begin()
        assert (refused.status, json.load(refused)["code"]) == (503, "busy")

        connection.sendall(b" " * size + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        healthy = http.client.HTTPResponse(connection)
        healthy.begin()
        assert healthy.status == 200


async def test_the_queue_has_an_end_that_can_be_foretold(
    limen: Limen, stranger: httpx2.AsyncClient
) -> None:
    """One thread, one second of patience, and a hash of an eighth of a second: eight wait."""
    room = limen.features.room
    async with occupied(room):
        room._average = 0.125
        guesses = [
            asyncio.create_task(guess(stranger, f"user{number}@example.com"))
            for number in range(30)
        ]
        await until(lambda: sum(one.done() for one in guesses) == 22)
        await until(lambda: room.waiting == 8)
    statuses = Counter([(await one).status_code for one in guesses])

    assert statuses == {503: 22, 401: 8}


async def test_a_crowd_at_one_account_takes_nobody_elses_place(
    limen: Limen, stranger: httpx2.AsyncClient
) -> None:
    """Room for eight, thirty guesses at one account: its five are in flight, the others wait."""
    await limen.features.accounts.create("ada@example.com", PASSWORD)
    room = limen.features.room
    async with occupied(room):
        room._average = 0.125
        crowd = [asyncio.create_task(guess(stranger, "victim@example.com")) for _ in range(30)]
        await until(lambda: room.waiting == 5)
        ada = asyncio.create_task(attempt(stranger, "ada@example.com"))
        await until(lambda: room.waiting == 6)
    await asyncio.gather(*crowd)

    assert (await ada).status_code == 200
