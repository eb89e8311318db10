"""The primary PostgreSQL is killed and its standby takes over, while two `limen serve` go on.

Synchronously replicated, nothing that was acknowledged is lost. Asynchronously, PostgreSQL itself
loses what it had not yet sent to the standby: rows are then older than the tokens that people hold,
and catch up with them. What such a failover takes back is a table here, and in docs/reliability.md.
"""

import asyncio
import os
import re
import secrets
import signal
from collections.abc import Callable, Iterator

import httpx2
import pytest

from limen.database.migrate import migrate
from limen.settings import Settings
from tests.cli.processes import Server
from tests.faults.figures import record
from tests.faults.load import (
    KEPT,
    answer,
    guest,
    operator,
    two_processes,
    under_load,
    verdict,
)
from tests.people import AUTH, Person
from tests.replication import Pair, a_pair

Record = Callable[[str, object], None]

pytestmark = pytest.mark.anyio

SEED = int(os.environ.get("LIMEN_TEST_SEED", secrets.randbelow(10**6)))
SECONDS = 30

A_MINUTE_PASSES = "UPDATE sessions SET handed_at = handed_at - 61000000"
# As half an hour would: no entry is left that has the keys read again.
FORGETTING_KEYS = "DELETE FROM revocations WHERE kind = 'keys'"


@pytest.fixture(scope="module")
def databases() -> Iterator[Pair]:
    with a_pair() as pair:
        migrate(pair.url)
        yield pair


@pytest.fixture(scope="module")
def settings(databases: Pair, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        data_dir=tmp_path_factory.mktemp("operator"),
        database_url=databases.url,
        signing_algorithm="ES256",
        secret=(secrets.token_urlsafe(32),),
    )


@pytest.fixture(scope="module")
def servers(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """Two processes that live through all the failovers of this file."""
    with two_processes(settings, tmp_path_factory.mktemp("servers")) as servers:
        yield servers


@pytest.fixture
def pair(databases: Pair, servers: list[Server]) -> Pair:  # noqa: ARG001  they need it at start
    """The primary and its standby, asynchronous; after a failover the old primary follows."""
    if databases.has_failed_over:
        databases.take_back()
    return databases


async def test_a_synchronous_standby_that_takes_over_has_all_that_was_acknowledged(
    pair: Pair, settings: Settings, servers: list[Server], record_property: Record
) -> None:
    pair.replicate_synchronously()
    async with operator(settings) as features:
        async with under_load(
            [one.url for one in servers], features, keyed=6, bare=2, seed=SEED
        ) as crowd:
            await asyncio.sleep(2)
            await asyncio.to_thread(pair.fail_over)
            back = await crowd.is_served()
            await asyncio.sleep(1)
        await are_ready(servers)
        found = await verdict(crowd)
    record(record_property, "failover, synchronous", 1, crowd, found)
    print(
        f"seed {SEED}: without service for {crowd.ledger.without_service():.1f} s, everybody "
        f"served {back:.1f} s after the promotion; {crowd.ledger.figures()}"
    )

    assert found == KEPT


async def test_tokens_newer_than_an_asynchronous_standby_are_still_good(
    pair: Pair, settings: Settings, servers: list[Server], record_property: Record
) -> None:
    urls = [one.url for one in servers]
    async with operator(settings) as features:
        before = sum([await fast_forwarded(url) for url in urls])
        async with under_load(
            urls, features, keyed=6, bare=2, seed=SEED, deeds={"refresh": 1}
        ) as crowd:
            await crowd.is_served()
            await asyncio.to_thread(pair.cut)
            await asyncio.to_thread(pair.primary.ask, A_MINUTE_PASSES)
            await crowd.is_served()
            await crowd.is_served()  # so that everybody has refreshed from beginning to end
            await asyncio.to_thread(pair.fail_over)
            back = await crowd.is_served()
        await are_ready(servers)
        found = await verdict(crowd)
        forwarded = sum([await fast_forwarded(url) for url in urls]) - before
    record(record_property, "failover, asynchronous", 1, crowd, found)
    print(
        f"seed {SEED}: without service for {crowd.ledger.without_service():.1f} s, everybody "
        f"served {back:.1f} s after the promotion; {forwarded} rows of {len(crowd.people)} "
        f"caught up with their tokens; {crowd.ledger.figures()}"
    )

    assert found == KEPT
    assert forwarded >= len(crowd.people)


async def test_what_an_asynchronous_failover_takes_back_and_what_it_does_not(
    pair: Pair, settings: Settings, servers: list[Server]
) -> None:
    one, two = servers
    async with operator(settings) as features, httpx2.AsyncClient(base_url=one.url) as http:
        leaver, renewed, disabled, newcomer, *others = [
            await guest(features, http) for _ in range(9)
        ]
        await asyncio.to_thread(pair.primary.ask, FORGETTING_KEYS)
        await asyncio.to_thread(pair.cut)
        await newcomer.sign_in()
        await features.accounts.disable(disabled.user_id)
        await features.accounts.set_password(renewed.user_id, secrets.token_urlsafe(16))
        lost_key = (await features.keys.rotate()).kid
        assert (await leaver.log_out()).status_code == 204
        await is_refused(leaver, two)

        two.process.send_signal(signal.SIGSTOP)  # it will be the last to hear of the failover
        await asyncio.to_thread(pair.fail_over)
        for other in others:  # more than what was lost: the new log is as long as the old one was
            assert (await answer(other.log_out)).status_code == 204
        two.process.send_signal(signal.SIGCONT)
        await are_ready(servers)
        for person in (*others, leaver, renewed, disabled):
            await is_refused(person, one)
            await is_refused(person, two)
        published = [await key_ids(server) for server in servers]
        taken_back = {
            "sign-in": (await answer(newcomer.refresh)).status_code == 401,
            "logout": (await answer(leaver.refresh)).status_code == 200,
            "new password": (await answer(renewed.sign_in)).status_code == 200,
            "disabling": (await answer(disabled.sign_in)).status_code == 200,
            "rotation of keys": lost_key not in published[0],
        }
        for person in (leaver, renewed, disabled):  # what a process knew as revoked, it knows
            await is_refused(person, one)
            await is_refused(person, two)
    print(f"acknowledged after the last that the standby had, and taken back: {taken_back}")

    assert published[0] == published[1]
    assert all(taken_back.values())


async def is_refused(person: Person, server: Server) -> None:
    """Wait until his access token is refused there."""
    await until_answered(401, f"{server.url}{AUTH}/me", person.bearer())


async def are_ready(servers: list[Server]) -> None:
    for server in servers:
        await until_answered(200, f"{server.url}/readyz")


async def until_answered(status: int, url: str, headers: dict[str, str] | None = None) -> None:
    async with asyncio.timeout(SECONDS), httpx2.AsyncClient() as http:
        while (await http.get(url, headers=headers)).status_code != status:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def key_ids(server: Server) -> set[str]:
    async with httpx2.AsyncClient() as http:
        keys = (await http.get(f"{server.url}/.well-known/jwks.json")).json()["keys"]
    return {key["kid"] for key in keys}


async def fast_forwarded(url: str) -> int:
    """Return how many refreshes found a row older than their token there."""
    async with httpx2.AsyncClient() as http:
        counted = (await http.get(f"{url}/metrics")).text
    found = re.search(r'limen_refreshes_total\{outcome="fast_forwarded"\} (\d+)', counted)
    return int(found[1]) if found else 0
