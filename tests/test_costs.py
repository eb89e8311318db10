"""What each request costs the database: statements, commits and rows, counted at the driver."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import Depends, FastAPI
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from limen import tokens
from limen.database.postgresql import PostgreSQL
from limen.limen import Limen
from limen.verify.claims import Claims
from limen.verify.keyset import VerificationKey, sign
from tests.conftest import on_sqlite
from tests.driver import Call, watching
from tests.people import Person, attempt
from tests.stored import row_counts

pytestmark = pytest.mark.anyio


@dataclass
class Cost:
    """The statements that were run, BEGIN not counted, and how many transactions committed them.

    A statement that is run alone is a transaction of its own. `trips` is how often the database was
    gone to: a statement that was deferred goes with another, or with the commit.
    """

    statements: list[str] = field(default_factory=list)
    commits: int = 0
    trips: int = 0


@contextmanager
def counted() -> Iterator[Cost]:
    """Count what is done within the block, but for the steps of the background."""
    cost, ours = Cost(), asyncio.current_task()

    async def count(call: Call) -> Any:
        if asyncio.current_task() is ours:
            asked = [*call.deferred, *([call.text] if call.kind == "statement" else [])]
            cost.statements += [text for text in asked if not text.startswith("BEGIN")]
            cost.commits += call.kind == "commit" or call.is_alone
            cost.trips += call.trips
        return await call.make()

    with watching(count):
        yield cost


def either(limen: Limen, *, sqlite: int, postgresql: int) -> int:
    """Return the trips on this database: SQLite's thread does a whole transaction in one."""
    return sqlite if limen.settings.database_url.startswith("sqlite") else postgresql


def added(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """Return how many rows each table has got."""
    return {name: after[name] - before[name] for name in after if after[name] != before[name]}


@pytest.fixture
async def door(limen: Limen) -> AsyncIterator[httpx2.AsyncClient]:
    """An application with one guarded route of its own."""
    app = FastAPI()

    @app.get("/orders")
    async def orders(user: Annotated[Claims, Depends(limen.current_user)]) -> str:
        return user.user_id

    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://shop.test") as client:
        yield client


async def test_a_sign_in_is_two_transactions_a_session_and_an_entry_in_the_trail(
    limen: Limen, ada: Person
) -> None:
    await ada.sign_in()
    before = await row_counts(limen)
    with counted() as cost:
        assert (await ada.sign_in()).status_code == 200
    after = await row_counts(limen)

    print(f"\na sign-in: {len(cost.statements)} statements, {cost.commits} commits")
    assert cost.commits <= 2
    assert added(before, after) == {"sessions": 1, "audit": 1}
    assert len(cost.statements) <= 5, cost.statements
    assert cost.trips == either(limen, sqlite=3, postgresql=5)


@pytest.mark.parametrize("email", ["ada@example.com", "nobody@example.com"])
async def test_a_failed_sign_in_is_two_transactions_and_an_entry_whoever_is_meant(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient, email: str
) -> None:
    before = await row_counts(limen)
    with counted() as cost:
        assert (await attempt(stranger, email, "not the password")).status_code == 401

    assert (len(cost.statements), cost.commits) == (4, 2)
    assert cost.trips == either(limen, sqlite=4, postgresql=5)
    more = added(before, await row_counts(limen))
    assert more.pop("rate_limits") <= 2
    assert more == {"audit": 1}
    assert ada.email == "ada@example.com"


@pytest.mark.parametrize("key", [None, "retry-key-of-ada"], ids=["bare", "keyed"])
async def test_a_refresh_is_one_statement_and_no_row(
    limen: Limen, ada: Person, key: str | None
) -> None:
    before = await row_counts(limen)
    with counted() as cost:
        assert (await ada.refresh(key=key)).status_code == 200

    assert (len(cost.statements), cost.commits) == (1, 1)
    assert cost.statements[0].startswith("UPDATE sessions")
    assert await row_counts(limen) == before


@pytest.mark.parametrize("token", ["garbage", "a.b.c", "x" * 4096])
async def test_a_refresh_with_garbage_costs_nothing(ada: Person, token: str) -> None:
    with counted() as cost:
        assert (await ada.refresh(token)).status_code == 401

    assert (cost.statements, cost.commits) == ([], 0)


async def test_a_refresh_with_a_forgery_costs_nothing(ada: Person) -> None:
    forged = ada.tokens["refresh_token"].rpartition(".")[0] + "." + "A" * 43
    with counted() as cost:
        assert (await ada.refresh(forged)).status_code == 401
        assert (await ada.refresh(ada.tokens["access_token"])).status_code == 401

    assert (cost.statements, cost.commits) == ([], 0)


async def test_a_guarded_request_costs_nothing(ada: Person, door: httpx2.AsyncClient) -> None:
    with counted() as cost:
        for headers in (ada.bearer(), ada.bearer("garbage"), {}):
            await door.get("/orders", headers=headers)
        assert (await door.get("/orders", headers=ada.bearer())).json() == ada.user_id

    assert (cost.statements, cost.commits) == ([], 0)


async def test_a_logout_is_one_transaction_a_revocation_and_an_entry(
    limen: Limen, ada: Person
) -> None:
    before = await row_counts(limen)
    with counted() as cost:
        assert (await ada.log_out()).status_code == 204
    after = await row_counts(limen)

    hints = isinstance(limen.features.database, PostgreSQL)
    assert (len(cost.statements), cost.commits) == (4 + hints, 1)
    assert added(before, after) == {"revocations": 1, "audit": 1}


# Of what is asked for, not of the background, which reads keys that were announced.
_IS_COUNTED: ContextVar[bool] = ContextVar("is_counted", default=False)


@pytest.fixture
def crypto(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many signatures were made and checked, and how many keys were read."""
    done: Counter[str] = Counter()

    def counting(what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def count(*arguments: Any, **options: Any) -> Any:
            done[what] += _IS_COUNTED.get()
            return function(*arguments, **options)

        return count

    monkeypatch.setattr(tokens, "sign", counting("made", sign))
    monkeypatch.setattr(VerificationKey, "verifies", counting("checked", VerificationKey.verifies))
    for kind in (OctKey, ECKey, RSAKey, OKPKey):
        monkeypatch.setattr(kind, "import_key", counting("read", kind.import_key))
    return done


@on_sqlite
async def test_each_step_signs_and_checks_no_more_than_it_must_and_reads_no_key(
    door: httpx2.AsyncClient, ada: Person, crypto: Counter[str]
) -> None:
    async def costs(request: Awaitable[httpx2.Response]) -> dict[str, int]:
        crypto.clear()
        counted = _IS_COUNTED.set(True)
        assert (await request).status_code == 200
        _IS_COUNTED.reset(counted)
        return dict(+crypto)

    assert await costs(ada.sign_in()) == {"made": 2}
    assert await costs(door.get("/orders", headers=ada.bearer())) == {"checked": 1}
    assert await costs(door.get("/orders", headers=ada.bearer())) == {}
    assert await costs(ada.refresh()) == {"checked": 1, "made": 2}
