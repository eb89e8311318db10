"""limen inside somebody's own application."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated

import httpx2
import pytest
from fastapi import Depends, FastAPI, Security

from limen.limen import Limen
from limen.settings import Settings
from limen.verify.claims import Claims
from tests.clock import ManualClock
from tests.conftest import CHEAPEST, on_sqlite
from tests.people import AUTH, Person, somebody

pytestmark = pytest.mark.anyio


@pytest.fixture
def mounted(settings: Settings, clock: ManualClock) -> Limen:
    """A limen that has not started: the application is to do that."""
    return Limen(settings, clock=clock, cost=CHEAPEST)


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """Start the application as a server would, by its own lifespan, and give a client of it."""
    transport = httpx2.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://orders.test") as http,
    ):
        yield http


def shop(limen: Limen, app: FastAPI | None = None, prefix: str = "") -> FastAPI:
    """An application with an open route, a guarded one, one that needs a scope, and limen."""
    app = app or FastAPI()
    app.include_router(limen.router, prefix=prefix)

    @app.get("/")
    async def welcome() -> str:
        return "welcome"

    @app.get("/orders")
    async def orders(user: Annotated[Claims, Depends(limen.current_user)]) -> str:
        return user.user_id

    @app.delete("/orders")
    async def forget(
        user: Annotated[Claims, Security(limen.current_user, scopes=["orders:write"])],
    ) -> str:
        return user.user_id

    @app.get("/metrics")
    async def metrics() -> str:
        return "the shop's own"

    return app


async def test_the_application_starts_and_stops_limen(mounted: Limen) -> None:
    async with running(shop(mounted)) as http:
        ada = await somebody(mounted, http)
        answer = await http.get("/orders", headers=ada.bearer())
        assert (answer.status_code, answer.json()) == (200, ada.user_id)
        assert (await http.get("/orders")).status_code == 401
        assert (await http.get("/")).json() == "welcome"

    with pytest.raises(RuntimeError):
        _ = mounted.features


async def test_its_own_lifespan_runs_too(mounted: Limen) -> None:
    steps: list[str] = []

    @asynccontextmanager
    async def own(_app: FastAPI) -> AsyncIterator[None]:
        steps.append("start")
        yield
        steps.append("stop")

    async with running(shop(mounted, FastAPI(lifespan=own))) as http:
        assert steps == ["start"]
        assert (await somebody(mounted, http)).tokens
    assert steps == ["start", "stop"]


async def test_its_own_lifespan_may_use_limen_itself(mounted: Limen) -> None:
    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[None]:
        async with mounted.lifespan(app):
            await mounted.features.accounts.create("ada@example.com", "correct horse battery")
            yield

    async with running(shop(mounted, FastAPI(lifespan=own))) as http:
        assert (await mounted.features.accounts.find("ada@example.com")) is not None
        assert (await http.get(f"{AUTH}/me")).status_code == 401


async def test_it_can_stand_under_a_prefix(mounted: Limen) -> None:
    app = shop(mounted, prefix="/shop")
    mounted.guard(app, open=[f"POST /shop{AUTH}/login"])
    async with running(app) as http:
        await mounted.features.accounts.create("ada@example.com", "correct horse battery")
        body = {"email": "ada@example.com", "password": "correct horse battery"}
        tokens = (await http.post(f"/shop{AUTH}/login", json=body)).json()
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        assert (await http.get(f"/shop{AUTH}/me", headers=bearer)).status_code == 200
        assert (await http.post(f"/shop{AUTH}/register", json=body)).status_code == 401


OUTSIDE = [
    ("GET", "/metrics"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
    ("POST", "/"),
    ("GET", "/nothing"),
    ("GET", f"{AUTH}/me"),
    ("GET", f"{AUTH}/login"),
    ("POST", f"{AUTH}/login/"),
    ("POST", "/.well-known/jwks.json"),
]


async def test_the_guard_closes_all_that_is_not_named(mounted: Limen) -> None:
    app = shop(mounted)
    mounted.guard(app, open=["GET /"])
    async with running(app) as http:
        for method, path in OUTSIDE:
            answer = await http.request(method, path)
            assert answer.status_code == 401, path
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"] == "Bearer"
        assert (await http.get("/")).status_code == 200
        ada = await somebody(mounted, http)
        assert (await http.get("/metrics", headers=ada.bearer())).json() == "the shop's own"
        assert (await http.get("/nothing", headers=ada.bearer())).status_code == 404


async def test_the_guard_leaves_limens_open_routes_open(mounted: Limen) -> None:
    app = shop(mounted)
    mounted.guard(app)
    async with running(app) as http:
        person = {"email": "ada@example.com", "password": "correct horse battery"}
        assert (await http.post(f"{AUTH}/register", json=person)).status_code == 201
        ada = Person(http, person["email"], "", person["password"])
        assert (await ada.sign_in()).status_code == 200
        assert (await ada.refresh()).status_code == 200
        assert (await http.get("/.well-known/jwks.json")).status_code == 200
        assert (await ada.log_out()).status_code == 204


@pytest.mark.parametrize(
    ("scope", "status"), [("", 403), ("orders:read", 403), ("orders:write", 200)]
)
@pytest.mark.parametrize("guarded", [True, False])
async def test_a_scope_opens_what_needs_it(
    mounted: Limen,
    scope: str,
    status: int,
    guarded: bool,  # noqa: FBT001  a table's column
) -> None:
    app = shop(mounted)
    if guarded:
        mounted.guard(app)
    async with running(app) as http:
        ada = await somebody(mounted, http, scope=scope)
        answer = await http.delete("/orders", headers=ada.bearer())
        assert answer.status_code == status
        if status == 403:
            assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
            assert 'scope="orders:write"' in answer.headers["www-authenticate"]


async def test_a_bad_body_is_a_problem_whatever_handlers_the_application_has(
    mounted: Limen,
) -> None:
    async with running(shop(mounted)) as http:
        for body in (b"{", b'{"email":"a","pasword":"hunter2"}', b"&".join([b"a=1"] * 40)):
            for media_type in ("application/json", "application/x-www-form-urlencoded"):
                headers = {"Content-Type": media_type}
                answer = await http.post(f"{AUTH}/login", content=body, headers=headers)
                assert answer.status_code == 422
                assert answer.headers["content-type"] == "application/problem+json"
                assert "hunter2" not in answer.text


async def test_two_in_one_process_are_strangers(tmp_path: Path, clock: ManualClock) -> None:
    both = [
        Limen(
            Settings(data_dir=tmp_path / name, signing_algorithm="ES256", audience=name),
            clock=clock,
            cost=CHEAPEST,
        )
        for name in ("staff", "guests")
    ]
    async with AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(running(shop(limen))) for limen in both]
        ada = await somebody(both[0], one)
        assert (await one.get("/orders", headers=ada.bearer())).status_code == 200
        assert (await other.get("/orders", headers=ada.bearer())).status_code == 401
        assert (await ada.log_out()).status_code == 204
        bob = await somebody(both[1], other)
        assert (await other.get("/orders", headers=bob.bearer())).status_code == 200
        counted = [limen.metrics.render()[0].decode() for limen in both]
        assert all('limen_sign_ins_total{outcome="success"} 1.0' in text for text in counted)
        assert 'reason="logout"} 1.0' in counted[0]
        assert 'reason="logout"} 1.0' not in counted[1]


async def test_one_limen_can_start_again(mounted: Limen) -> None:
    app = shop(mounted)
    async with running(app) as http:
        ada = await somebody(mounted, http)
    async with running(app) as http:
        assert (await http.get("/orders", headers=ada.bearer())).status_code == 200


async def test_before_the_start_it_says_what_is_missing(mounted: Limen) -> None:
    with pytest.raises(RuntimeError, match=r"limen has not started: include limen\.router"):
        _ = mounted.features


def left_of(threads: set[threading.Thread]) -> list[threading.Thread]:
    """Return the threads that have come since, but for those that the event loop keeps."""
    new = set(threading.enumerate()) - threads
    own = [thread for thread in new if not thread.name.startswith("asyncio_")]
    for thread in own:
        thread.join(5)  # it may just be ending
    return [thread for thread in own if thread.is_alive()]


async def test_nothing_of_it_is_left_behind(mounted: Limen) -> None:
    threads, tasks = set(threading.enumerate()), asyncio.all_tasks()
    async with running(shop(mounted)) as http:
        await somebody(mounted, http)
        assert set(threading.enumerate()) > threads

    assert left_of(threads) == []
    assert asyncio.all_tasks() == tasks


@on_sqlite
async def test_a_start_that_fails_leaves_nothing_behind(mounted: Limen, settings: Settings) -> None:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    (settings.data_dir / "limen.db").write_bytes(b"this is no database" * 100)
    threads = set(threading.enumerate())
    with pytest.raises(Exception, match="database"):
        async with mounted.lifespan():
            pass

    assert left_of(threads) == []
    with pytest.raises(RuntimeError):
        _ = mounted.features


PROGRAM = """
import asyncio, sys
from pathlib import Path
from limen import Limen
from limen.settings import Argon2Cost, Settings

async def main():
    limen = Limen(
        Settings(data_dir=Path(sys.argv[1]), signing_algorithm="ES256"),
        cost=Argon2Cost(memory_kib=8, passes=1, lanes=1),
    )
    async with limen.lifespan():
        await limen.features.accounts.create("ada@example.com", "correct horse battery")
    print("done")

asyncio.run(main())
"""


def test_a_program_that_used_it_exits(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(tmp_path / "data")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)

    assert (ended.stdout, ended.stderr) == ("done\n", "")
