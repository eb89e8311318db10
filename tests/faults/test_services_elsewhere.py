"""Three services elsewhere, guarded by one limen: the examples, each in a process of its own.

A FastAPI application, a Flask application and a plain ASGI application, in front of a real
`limen serve`: what ends there, ends here; keys are rotated there under load, and nobody is refused.
"""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from limen import app as standalone
from limen.clock import SECOND
from limen.limen import Limen
from limen.verify.errors import InvalidToken
from limen.verify.gate import parse
from limen.verify.issuer import Issuer
from limen.verify.verifier import Verifier
from tests import crowds
from tests.cli.processes import SECONDS, Server, run, serving, until
from tests.clock import ManualClock
from tests.conftest import on_sqlite
from tests.people import AUTH, PASSWORD, Person, somebody
from tests.serving import listening

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
PYTHON = (sys.executable, "-W", "error", "-m")
SERVICES = {
    "FastAPI": ("uvicorn", "--app-dir", str(ROOT), "examples.guarded_fastapi:app", "--port"),
    "Flask": ("flask", "--app", f"{ROOT}/examples/guarded_flask.py", "run", "--port"),
    "ASGI": ("uvicorn", "--app-dir", str(ROOT), "--lifespan", "off", "examples.guarded_asgi:app",
             "--port"),
}  # fmt: skip
PEOPLE = 6


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@contextlib.contextmanager
def service(words: tuple[str, ...], issuer: str, log: Path) -> Iterator[str]:
    """Run one of them; give its URL."""
    port = free_port()
    environment = {**os.environ, "ISSUER": issuer}
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [*PYTHON, *words, str(port)], env=environment, stdout=output, stderr=output
        ) as process,
    ):
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
    written = log.read_text()
    assert "Traceback" not in written
    assert "eyJ" not in written


@dataclass(frozen=True, slots=True)
class Town:
    """A limen, and the services behind it by name."""

    limen: Server
    services: dict[str, str]
    http: httpx2.AsyncClient

    async def person(self, name: str) -> Person:
        """Register somebody and sign him in."""
        email = f"{name}@example.com"
        registered = await self.http.post(
            f"{AUTH}/register", json={"email": email, "password": PASSWORD}
        )
        person = Person(self.http, email, registered.json()["user_id"])
        assert (await person.sign_in()).status_code == 200
        return person

    async def ask(self, name: str, token: str, method: str = "GET") -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return await self.http.request(method, f"{self.services[name]}/orders", headers=headers)

    async def everywhere(self, token: str) -> set[int]:
        answers = await asyncio.gather(*(self.ask(name, token) for name in self.services))
        return {answer.status_code for answer in answers}


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    folder = tmp_path_factory.mktemp("town")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    words = ("--port", str(port))
    with contextlib.ExitStack() as running:
        limen = running.enter_context(
            serving(
                folder / "data",
                *words,
                LIMEN_PUBLIC_URL=url,
                LIMEN_REGISTER_ADDRESS_LIMIT="100 per 15m",
            )
        )
        services = {
            name: running.enter_context(service(words, url, folder / name))
            for name, words in SERVICES.items()
        }
        for each in services.values():
            until(lambda each=each: _is_up(each))  # type: ignore[misc]
        yield limen, services


def _is_up(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/healthz", trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


@pytest.fixture
async def town(processes: tuple[Server, dict[str, str]]) -> AsyncIterator[Town]:
    limen, services = processes
    # A connection that limen may be about to close, as idle, is not used again.
    limits = httpx2.Limits(keepalive_expiry=1)
    client = httpx2.AsyncClient(base_url=limen.url, timeout=SECONDS, trust_env=False, limits=limits)
    async with client as http:
        yield Town(limen, services, http)


async def test_each_service_guards_its_orders_as_its_example_says(town: Town) -> None:
    ada = await town.person("ada")
    token = ada.tokens["access_token"]
    for name, url in town.services.items():
        refused = await town.http.get(f"{url}/orders")
        assert (refused.status_code, refused.json()["code"]) == (401, "missing_token"), name
        assert (await town.http.get(f"{url}/nothing")).status_code == 401
        assert (await town.ask(name, token)).json() == {"orders of": ada.user_id}
        forbidden = await town.ask(name, token, "DELETE")
        assert (forbidden.status_code, forbidden.json()["code"]) == (403, "insufficient_scope")


async def test_a_session_that_was_ended_is_refused_everywhere_within_two_seconds(
    town: Town,
) -> None:
    taken = defaultdict(list)
    for number in range(3):
        person = await town.person(f"leaves-{number}")
        token = person.tokens["access_token"]
        assert await town.everywhere(token) == {200}
        await person.log_out()
        ended = time.monotonic()
        waiting = set(town.services)
        while waiting:
            for name in [*waiting]:
                if (await town.ask(name, token)).status_code == 401:
                    taken[name].append(time.monotonic() - ended)
                    waiting.remove(name)
            assert time.monotonic() - ended < SECONDS
    worst = {name: max(times) for name, times in taken.items()}
    shown = ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in worst.items())
    print(f"refused after a sign-out, at worst: {shown}")
    assert max(worst.values()) < 2


async def test_no_token_is_refused_while_the_keys_are_rotated_in_an_emergency(town: Town) -> None:
    people = [await town.person(f"loads-{number}") for number in range(PEOPLE)]
    old = people[0].tokens["access_token"]
    seen: dict[tuple[str, bool], list[int]] = defaultdict(list)
    leaving = asyncio.Event()

    async def load(person: Person) -> None:
        """Refresh, and show the new token to everybody at once."""
        while not leaving.is_set():
            assert (await person.refresh()).status_code == 200
            token = person.tokens["access_token"]
            is_new = parse(token).kid != parse(old).kid
            answers = await asyncio.gather(*(town.ask(name, token) for name in town.services))
            for name, answer in zip(town.services, answers, strict=True):
                seen[name, is_new].append(answer.status_code)

    async def rotate() -> None:
        for words in (("keys", "rotate"), ("keys", "rotate", "--emergency")):
            done = await asyncio.to_thread(run, town.limen.data, *words)
            assert done.returncode == 0, done.stderr
        began = time.monotonic()
        await crowds.until(lambda: all(len(seen[name, True]) >= PEOPLE for name in town.services))
        print(f"everybody has shown a token of the new key after {time.monotonic() - began:.2f} s")
        leaving.set()

    await asyncio.gather(rotate(), *(load(person) for person in people))
    for (name, is_new), answers in sorted(seen.items()):
        odd = [status for status in answers if status != 200]
        key = "new" if is_new else "old"
        print(f"{name}: {len(answers)} requests with the {key} key, {len(odd)} refused")
    for name in town.services:
        assert seen[name, False]
        assert set(seen[name, True]) == {200}  # never refused, from the first one on
        assert set(seen[name, False]) <= {200, 401}  # a key that was given up is given up
    assert await town.everywhere(old) == {401}


@on_sqlite
async def test_a_rotation_refuses_nobody_from_its_first_to_its_last_day(
    limen: Limen, http: httpx2.AsyncClient, clock: ManualClock
) -> None:
    person = await somebody(limen, http)
    public = limen.settings.public_url
    async with listening(standalone.build(limen)) as url:
        issuer = Issuer(public, at=url)
        verifier = Verifier(
            public, limen.settings.audience, keys=issuer, now=lambda: clock() / SECOND
        )
        try:
            tokens = [person.tokens["access_token"]]
            await verifier.verify(tokens[0])
            await limen.features.keys.rotate()
            await limen.features.following.catch_up()
            for minutes in range(0, 60, 3):
                await person.refresh()
                tokens.append(person.tokens["access_token"])
                for token in tokens:
                    age = clock() // SECOND - int(str(parse(token).payload["iat"]))
                    assert (age >= 30 * 60) == await _is_refused(verifier, token), minutes
                clock.tick(180)
        finally:
            issuer.close()
    assert len({parse(token).kid for token in tokens}) == 2


async def _is_refused(verifier: Verifier, token: str) -> bool:
    try:
        await verifier.verify(token)
    except InvalidToken:
        return True
    return False
