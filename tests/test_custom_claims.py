"""Custom claims: they stand in the tokens, take the place of none of limen's, and cost no session.

Whatever the application's function does, raise, hang, or say nonsense, the answer is 503 and what
the client holds is worth what it was.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf, nan
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import Depends, FastAPI

from limen import custom_claims
from limen.custom_claims import (
    MOST_BYTES,
    MOST_WITH_SCOPE_AND_ROLES,
    RESERVED,
    ClaimsFunction,
    Holder,
    checked,
)
from limen.database.schema import sessions
from limen.limen import Limen
from limen.settings import Settings
from limen.tokens import Generation, Grant
from limen.verify.claims import OWN, Claims
from limen.verify.gate import MAX_TOKEN_BYTES, parse
from tests.clock import ManualClock
from tests.conftest import CHEAPEST
from tests.people import AUTH, Person, calling_from, somebody
from tests.refusals import problem
from tests.services import a_service
from tests.stored import rows, slots_taken

pytestmark = pytest.mark.anyio


@dataclass
class Application:
    """An application whose function can be told to fail; `asked` are those it was asked about."""

    says: Callable[[Holder], object] = lambda _: {"tenant": "acme"}
    asked: list[Holder] = field(default_factory=list)

    async def claims(self, holder: Holder) -> Mapping[str, object]:
        self.asked.append(holder)
        said = self.says(holder)
        return await said if asyncio.iscoroutine(said) else said  # type: ignore[return-value]


@pytest.fixture
def application() -> Application:
    return Application()


@asynccontextmanager
async def mounted(
    settings: Settings, clock: ManualClock, claims: ClaimsFunction
) -> AsyncIterator[tuple[Limen, httpx2.AsyncClient]]:
    """A limen with this function, and a client of it."""
    limen = Limen(settings, claims=claims, clock=clock, cost=CHEAPEST)
    async with limen.lifespan(), calling_from(limen, "127.0.0.1") as http:
        yield limen, http


@pytest.fixture
async def limen(
    settings: Settings, clock: ManualClock, application: Application
) -> AsyncIterator[Limen]:
    limen = Limen(settings, claims=application.claims, clock=clock, cost=CHEAPEST)
    async with limen.lifespan():
        yield limen


@pytest.fixture
async def shop(limen: Limen) -> AsyncIterator[httpx2.AsyncClient]:
    """An application that limen is mounted in, with a route that shows the claims."""
    app = FastAPI()
    app.include_router(limen.router)

    @app.get("/tenant")
    async def tenant(user: Annotated[Claims, Depends(limen.current_user)]) -> dict[str, Any]:
        return user.extra

    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://shop.test") as http:
        yield http


def said(person: Person) -> dict[str, object]:
    return {**parse(person.tokens["access_token"]).payload}


async def test_a_mounted_application_reads_its_own_claims(
    ada: Person, shop: httpx2.AsyncClient
) -> None:
    assert (await shop.get("/tenant", headers=ada.bearer())).json() == {"tenant": "acme"}


async def test_they_are_made_anew_at_each_refresh(application: Application, ada: Person) -> None:
    application.says = lambda _: {"tenant": "initech", "plan": {"seats": 3, "until": None}}
    assert (await ada.refresh()).status_code == 200

    assert said(ada)["tenant"] == "initech"
    assert said(ada)["plan"] == {"seats": 3, "until": None}


async def test_the_function_is_told_who_and_what_he_may_do(
    limen: Limen, http: httpx2.AsyncClient, application: Application
) -> None:
    ada = await somebody(limen, http, scope="orders:read orders:write")
    await ada.refresh()

    assert (
        application.asked
        == [Holder(ada.user_id, frozenset({"orders:read", "orders:write"}), frozenset())] * 2
    )


async def test_it_is_asked_about_nobody_whose_password_is_wrong(
    ada: Person, application: Application, stranger: httpx2.AsyncClient
) -> None:
    application.asked.clear()
    body = {"email": ada.email, "password": "not the password"}
    assert (await stranger.post(f"{AUTH}/login", json=body)).status_code == 401
    assert (await ada.refresh("a.b.c")).status_code == 401

    assert application.asked == []


async def test_introspection_tells_them(
    limen: Limen, http: httpx2.AsyncClient, ada: Person
) -> None:
    service = await a_service(limen, http)
    told = (await service.introspect(ada.tokens["access_token"])).json()

    assert (told["active"], told["tenant"]) == (True, "acme")


def hang(_: Holder) -> object:
    return asyncio.sleep(60)


def fail(_: Holder) -> object:
    raise ConnectionError("the tenants cannot be reached")


FAILURES: dict[str, Callable[[Holder], object]] = {
    "raises": fail,
    "hangs": hang,
    "no mapping": lambda _: [("tenant", "acme")],
    "none": lambda _: None,
    "a reserved name": lambda _: {"sub": "somebody else"},
    "not JSON": lambda _: {"tenant": object()},
    "too large": lambda _: {"tenant": "x" * MOST_BYTES},
}


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custom_claims, "SECONDS", 0.1)


@pytest.mark.usefixtures("hurried")
async def test_a_refresh_survives_a_function_that_fails(
    ada: Person, application: Application
) -> None:
    token, works = ada.tokens["refresh_token"], application.says
    for name, failure in FAILURES.items():
        application.says = failure
        refused = await ada.refresh(token)
        found = problem(refused.status_code, refused.headers, refused.content, expected={503})
        assert found["code"] == "claims_unavailable", name
        assert refused.headers["Retry-After"] == "2"

    application.says = works
    assert (await ada.refresh(token)).status_code == 200


@pytest.mark.usefixtures("hurried")
async def test_a_sign_in_that_fails_so_starts_no_session_and_counts_for_nothing(
    limen: Limen, ada: Person, application: Application
) -> None:
    sessions_before = await rows(limen, sessions)
    for name, failure in FAILURES.items():
        application.says = failure
        assert (await ada.sign_in()).json()["code"] == "claims_unavailable", name

    assert await rows(limen, sessions) == sessions_before
    assert sum((await slots_taken(limen)).values()) == 0


async def test_a_failure_is_logged_once_with_what_was_raised(
    ada: Person, application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    application.says = fail
    with caplog.at_level(logging.WARNING, "limen"):
        await ada.refresh()

    (record,) = (one for one in caplog.records if one.name == "limen.custom_claims")
    assert record.getMessage() == "custom claims could not be made"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ConnectionError)


async def test_a_replay_is_still_caught(ada: Person, application: Application) -> None:
    used = ada.tokens["refresh_token"]
    await ada.refresh(used)
    application.says = fail
    assert (await ada.refresh(used)).status_code == 503  # nothing was decided

    application.says = lambda _: {}
    assert (await ada.refresh(used)).status_code == 401
    assert (await ada.refresh()).status_code == 401


async def test_a_retry_with_its_key_gets_the_same_successor(
    ada: Person, application: Application
) -> None:
    token, key = ada.tokens["refresh_token"], "retry-key-of-ada-0123456789"
    first = (await ada.refresh(token, key)).json()
    application.says = fail
    assert (await ada.refresh(token, key)).status_code == 503
    application.says = lambda _: {"tenant": "acme"}

    assert (await ada.refresh(token, key)).json()["refresh_token"] == first["refresh_token"]


async def test_claims_made_before_a_change_are_void_with_it(
    limen: Limen, ada: Person, application: Application, shop: httpx2.AsyncClient
) -> None:
    async def changed_meanwhile(holder: Holder) -> dict[str, object]:
        await limen.features.accounts.change(holder.user_id, "access_changed")
        return {"tenant": "of before the change"}

    application.says = changed_meanwhile
    assert (await ada.refresh()).status_code == 200
    assert (await shop.get("/tenant", headers=ada.bearer())).status_code == 401

    application.says = lambda _: {"tenant": "of now"}
    assert (await ada.refresh()).status_code == 200
    assert (await shop.get("/tenant", headers=ada.bearer())).json() == {"tenant": "of now"}


async def test_a_sign_in_overtaken_by_a_change_is_refused(
    limen: Limen, ada: Person, application: Application
) -> None:
    async def disabled_meanwhile(holder: Holder) -> dict[str, object]:
        await limen.features.accounts.disable(holder.user_id)
        return {}

    application.says = disabled_meanwhile

    assert (await ada.sign_in()).status_code == 401


async def test_who_was_deleted_is_refused_and_not_asked_about(
    limen: Limen, ada: Person, application: Application
) -> None:
    await limen.features.accounts.delete(ada.user_id)
    application.asked.clear()

    assert (await ada.refresh()).status_code == 401
    assert application.asked == []


class Called:
    """An application's function that is an object."""

    async def __call__(self, holder: Holder) -> dict[str, object]:
        return {"tenant": holder.user_id}


def plain(holder: Holder) -> dict[str, object]:
    return {"tenant": holder.user_id, "thread": threading.current_thread().name}


async def of_a_tenant(prefix: str, holder: Holder) -> dict[str, object]:
    return {"tenant": f"{prefix}{holder.user_id}"}


@pytest.mark.parametrize(
    "function",
    [plain, Called(), partial(of_a_tenant, ""), lambda holder: of_a_tenant("", holder)],
    ids=["def", "object", "partial", "lambda"],
)
async def test_a_function_may_be_of_any_kind(
    settings: Settings, clock: ManualClock, function: ClaimsFunction
) -> None:
    async with mounted(settings, clock, function) as (limen, http):
        ada = await somebody(limen, http)

    assert said(ada)["tenant"] == ada.user_id
    assert str(said(ada).get("thread", "limen-claims")).startswith("limen-claims")


@contextmanager
def all_wait() -> Iterator[Callable[[Holder], dict[str, object]]]:
    """A function that does not return until the end of the block."""
    end = threading.Event()

    def wait(_: Holder) -> dict[str, object]:
        end.wait(20)
        return {}

    try:
        yield wait
    finally:
        end.set()


async def test_a_function_that_blocks_blocks_nobody_else(
    settings: Settings, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(custom_claims, "SECONDS", 0.3)
    with all_wait() as wait:
        async with mounted(settings, clock, wait) as (limen, http):
            account = await limen.features.accounts.create("ada@example.com", "a good long one")
            body = {"email": account.email, "password": "a good long one"}
            posted = [asyncio.create_task(http.post(f"{AUTH}/login", json=body)) for _ in range(6)]
            assert (await http.get("/healthz")).status_code == 200
            assert not any(task.done() for task in posted)
            answers = await asyncio.gather(*posted)

    assert {answer.json()["code"] for answer in answers} == {"claims_unavailable"}


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_no_claim_takes_the_place_of_another_meaning(name: str) -> None:
    with pytest.raises(ValueError, match="is reserved"):
        checked({name: "anything"})


async def test_all_that_limen_says_is_reserved(ada: Person) -> None:
    own = {name for name in said(ada) if name != "tenant"}

    assert own <= OWN <= RESERVED.keys()
    assert parse(ada.tokens["refresh_token"], typ="rt+jwt").payload.keys() <= RESERVED.keys()


@pytest.mark.parametrize("name", ["", " ", "a b", "ä", "\n", "\0", "x" * 65, 1, None, ("a",)])
def test_a_name_is_a_word(name: object) -> None:
    with pytest.raises(ValueError, match="visible characters of ASCII"):
        checked({name: 1})


@pytest.mark.parametrize("name", ["tenant", "https://shop.example.com/tenant", "x" * 64, "_a-b:c"])
def test_a_name_may_be_a_url(name: str) -> None:
    assert checked({name: 1}) == {name: 1}


def deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


NOT_JSON: list[object] = [nan, inf, -inf, b"x", {1, 2}, 2**63, "\ud800", deep(16), deep(5000)]


@pytest.mark.parametrize("value", NOT_JSON, ids=lambda value: type(value).__name__)
def test_a_value_is_what_every_reader_of_json_understands(value: object) -> None:
    with pytest.raises((ValueError, TypeError, RecursionError)):
        checked({"a": value})


def test_a_circle_is_refused() -> None:
    circle: list[object] = []
    circle.append(circle)
    with pytest.raises(ValueError, match="Circular"):
        checked({"a": circle})


def test_what_is_kept_is_a_copy() -> None:
    seats = [1, 2]
    kept = checked({"seats": seats, "more": (1, {"a": None})})
    seats.append(3)

    assert kept == {"seats": [1, 2], "more": [1, {"a": None}]}


async def test_the_longest_claims_leave_room_in_the_token(
    settings: Settings, clock: ManualClock
) -> None:
    """With the longest scope, RSA, and an issuer and an audience of 64 characters each."""
    url = "https://login.example.com".ljust(64, "x")
    long = replace(settings, signing_algorithm="RS256", public_url=url, audience=url)
    async with mounted(long, clock, lambda _: {}) as (limen, _):
        most = checked({"a": "x" * (MOST_BYTES - len('{"a":""}'))})
        scope = "s" * (MOST_WITH_SCOPE_AND_ROLES - MOST_BYTES)
        grant = Grant("u" * 32, "s" * 32, 2**31, scope, custom=most)
        now = clock()
        pair = limen.features.tokens.issue(grant, Generation("u", "f", 0, now, 2 * now))
        claims = await limen.verifier.verify(pair.access_token)

    print(f"the longest access token: {len(pair.access_token)} bytes")
    assert claims.extra == most
    assert len(pair.access_token) < MAX_TOKEN_BYTES


async def test_a_long_scope_leaves_less_room(
    limen: Limen, http: httpx2.AsyncClient, application: Application
) -> None:
    longest = "s" * 1024
    application.says = lambda _: {"a": "x" * (MOST_BYTES - 10)}
    ada = await somebody(limen, http, scope=longest)
    assert len(ada.tokens["access_token"]) < MAX_TOKEN_BYTES

    await limen.features.accounts.change(ada.user_id, "access_changed", roles="r" * 100)
    assert (await ada.refresh()).json()["code"] == "claims_unavailable"


async def test_a_reading_cannot_change_what_another_reads(limen: Limen, ada: Person) -> None:
    claims = await limen.verifier.verify(ada.tokens["access_token"])
    claims.extra["tenant"] = "mine"

    assert claims.extra == {"tenant": "acme"}
    assert (await limen.verifier.verify(ada.tokens["access_token"])).extra == {"tenant": "acme"}
    assert "acme" not in repr(claims)
    assert isinstance(hash(claims), int)
