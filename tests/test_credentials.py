"""Client credentials: made once, known by a digest, refused at once, and limited only if wrong."""

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from limen.credentials import ApiClient, NewApiClient
from limen.database.schema import api_clients, rate_limits
from limen.errors import DatabaseUnavailable, InvalidClient, InvalidRequest, TooManyAttempts
from limen.events import Event, LimitHit
from limen.limen import Limen
from limen.settings import Limit, Settings
from limen.tokens import digest
from tests.clock import ManualClock
from tests.driver import Call, watching
from tests.stored import everything, moved_away, rows, slots_taken

pytestmark = pytest.mark.anyio

HERE, ELSEWHERE = "203.0.113.7", "198.51.100.7"
QUOTA = 3


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, login_address_limit=Limit(QUOTA, 900))


@pytest.fixture
async def orders(limen: Limen) -> NewApiClient:
    return await limen.features.credentials.create("orders")


async def outcome(limen: Limen, client_id: str, secret: str, address: str = HERE) -> str:
    """Return what authentication comes to."""
    try:
        client = await limen.features.credentials.authenticate(client_id, secret, address)
    except (InvalidClient, TooManyAttempts, DatabaseUnavailable) as refusal:
        return refusal.code
    return client.name


async def test_a_client_authenticates_with_the_secret_it_was_given(
    limen: Limen, orders: NewApiClient
) -> None:
    assert await outcome(limen, orders.client.client_id, orders.secret) == "orders"
    assert await slots_taken(limen) == {}


async def test_secrets_are_random_and_hidden(limen: Limen, orders: NewApiClient) -> None:
    another = await limen.features.credentials.create("orders")

    assert len({orders.secret, another.secret}) == 2
    assert len(orders.secret) == 43  # 256 bits in base64url
    assert orders.secret not in repr(orders)


async def test_of_two_pairs_of_one_service_each_works_until_it_is_deleted(
    limen: Limen, orders: NewApiClient
) -> None:
    second = await limen.features.credentials.create("orders")

    assert await limen.features.credentials.delete(orders.client.client_id)
    assert await outcome(limen, orders.client.client_id, orders.secret) == "invalid_client"
    assert await outcome(limen, second.client.client_id, second.secret) == "orders"
    assert not await limen.features.credentials.delete(orders.client.client_id)


async def test_what_another_process_makes_or_deletes_counts_at_once(
    limen: Limen, twin: Limen
) -> None:
    made = await twin.features.credentials.create("orders")

    assert await outcome(limen, made.client.client_id, made.secret) == "orders"
    await twin.features.credentials.delete(made.client.client_id)
    assert await outcome(limen, made.client.client_id, made.secret) == "invalid_client"


async def test_clients_are_listed_the_oldest_first(
    limen: Limen, orders: NewApiClient, clock: ManualClock
) -> None:
    clock.tick(1)
    later = await limen.features.credentials.create("billing")

    listed = await limen.features.credentials.all()
    assert listed == [orders.client, later.client]
    assert all(isinstance(one, ApiClient) for one in listed)


@pytest.mark.parametrize(
    "name", ["", " ", "a ", " a", "a\nb", "\x1b[2J", "a\0", "x" * 65], ids=ascii
)
async def test_a_name_is_something_to_read(limen: Limen, name: str) -> None:
    with pytest.raises(InvalidRequest):
        await limen.features.credentials.create(name)

    assert await rows(limen, api_clients) == []


async def test_a_leaked_database_holds_no_usable_secret(limen: Limen, orders: NewApiClient) -> None:
    (row,) = await rows(limen, api_clients)
    stored = await everything(limen)

    assert row.client_id.encode() in stored
    assert orders.secret.encode() not in stored
    assert row.secret_hash == digest(orders.secret)
    assert await outcome(limen, row.client_id, row.secret_hash) == "invalid_client"


WRONG: dict[str, Callable[[NewApiClient], tuple[str, str]]] = {
    "secret": lambda made: (made.client.client_id, made.secret[:-1] + "."),
    "no secret": lambda made: (made.client.client_id, ""),
    "a longer secret": lambda made: (made.client.client_id, made.secret + "A"),
    "client": lambda made: ("0" * 32, made.secret),
    "upper case": lambda made: (made.client.client_id, made.secret.upper()),
    "no client": lambda made: ("", made.secret),
    "the name": lambda made: ("orders", made.secret),
    "NUL": lambda made: (made.client.client_id[:-1] + "\0", made.secret),
    "a line more": lambda made: (made.client.client_id + "\n", made.secret),
    "nobody's id": lambda _: ("." * 43, "." * 43),
    "another's secret": lambda made: (made.client.client_id, "A" * 43),
}


async def test_an_unknown_client_and_a_wrong_secret_cost_the_same_work(
    limen: Limen, orders: NewApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same statements, and one comparison in constant time, of texts of one length."""
    compared: list[tuple[int, int]] = []
    statements: list[str] = []
    compare = hmac.compare_digest

    def comparing(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return compare(one, other)

    async def note(call: Call) -> Any:
        if "api_clients" in call.text or "rate_limits" in call.text:  # others run all the time
            statements.append(call.text)
        return await call.make()

    monkeypatch.setattr("limen.credentials.hmac.compare_digest", comparing)
    work = []
    with watching(note):
        for n, made in enumerate(WRONG.values()):
            statements.clear()
            assert await outcome(limen, *made(orders), address=f"192.0.2.{n}") == "invalid_client"
            work.append(list(statements))

    assert compared == [(43, 43)] * len(WRONG)
    assert len(work[0]) >= 2  # the client is read, the slot is taken
    assert all(done == work[0] for done in work)


async def test_failures_are_limited_exactly_and_good_credentials_never(
    limen: Limen, orders: NewApiClient, clock: ManualClock, happened: list[Event]
) -> None:
    client_id = orders.client.client_id
    guesses = [outcome(limen, client_id, f"guess {n}") for n in range(20)]
    found = await asyncio.gather(*guesses)

    assert sorted(found) == ["invalid_client"] * QUOTA + ["too_many_attempts"] * (20 - QUOTA)
    assert happened.count(LimitHit("client-address")) == 20 - QUOTA
    assert await slots_taken(limen) == {"client-address": QUOTA}
    assert await outcome(limen, client_id, orders.secret) == "orders"
    assert await outcome(limen, client_id, "guess", ELSEWHERE) == "invalid_client"
    clock.tick(899)
    assert await outcome(limen, client_id, "guess") == "too_many_attempts"
    clock.tick(1)
    assert await outcome(limen, client_id, "guess") == "invalid_client"


async def test_noise_that_is_refused_already_waits_for_no_writer(
    limen: Limen, orders: NewApiClient
) -> None:
    """Nor does a writer wait for it. Whoever waited would be answered that there is no database."""
    client_id = orders.client.client_id
    for _ in range(QUOTA):
        assert await outcome(limen, client_id, "guess") == "invalid_client"

    async with limen.features.database.write() as connection:
        await connection.execute(update(rate_limits).values(quota=rate_limits.c.quota))
        assert await outcome(limen, client_id, "guess") == "too_many_attempts"


async def test_without_the_database_nobody_is_let_in(limen: Limen, orders: NewApiClient) -> None:
    with moved_away(limen):
        good = await outcome(limen, orders.client.client_id, orders.secret)
        bad = await outcome(limen, orders.client.client_id, "guess")

    assert (good, bad) == ("database_unavailable", "database_unavailable")
    assert await outcome(limen, orders.client.client_id, orders.secret) == "orders"
