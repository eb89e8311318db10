"""The standalone application: what it answers beside limen's routes, and what can be turned off."""

from dataclasses import replace

import httpx2
import pytest
from fastapi import FastAPI

from limen import app as standalone
from limen.api.requests import MAX_BODY
from limen.limen import Limen
from limen.settings import Settings
from limen.telemetry.requests import RequestLog
from tests.clock import ManualClock
from tests.conftest import CHEAPEST
from tests.people import AUTH, PASSWORD, Person, somebody
from tests.refusals import problem

pytestmark = pytest.mark.anyio

PATHS = ["/docs", "/openapi.json", "/docs/oauth2-redirect", "/"]


def client(limen: Limen) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(standalone.build(limen), raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://limen.test")


def test_each_route_is_made_once_and_only_if_it_is_asked_for(settings: Settings) -> None:
    """FastAPI makes it anew for each router that includes it: most of the time of a start."""
    limen = Limen(settings, cost=CHEAPEST)
    assert not {"router", "admin_router", "operations_router"} & vars(limen).keys()
    app = standalone.build(limen)

    assert isinstance(app, RequestLog)
    assert isinstance(app._app, FastAPI)
    served = {id(route) for route in app._app.routes}
    for router in (limen.router, limen.admin_router, limen.operations_router):
        assert len(router.routes) > 1
        assert {id(route) for route in router.routes} <= served


async def test_the_root_leads_to_the_documentation(http: httpx2.AsyncClient) -> None:
    answer = await http.get("/", headers={"Host": "elsewhere.example"})

    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")
    assert "openapi.json" in (await http.get("/docs")).text


async def test_the_documentation_can_be_turned_off(settings: Settings) -> None:
    closed = Limen(replace(settings, docs=False), cost=CHEAPEST)
    async with client(closed) as http:
        for path in PATHS:
            answer = await http.get(path)
            problem(answer.status_code, answer.headers, answer.content, expected={404})


async def test_there_is_no_second_documentation(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/redoc")).status_code == 404


async def test_a_slash_more_is_another_path_and_no_redirect(http: httpx2.AsyncClient) -> None:
    answer = await http.get("/healthz/", headers={"Host": "elsewhere.example"})

    assert answer.status_code == 404
    assert "location" not in answer.headers


async def test_a_mistake_of_ours_is_a_problem_without_its_story(
    settings: Settings, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*said: object) -> None:
        raise RuntimeError(f"secret: {said}")

    limen = Limen(settings, clock=clock, cost=CHEAPEST)
    async with limen.lifespan(), client(limen) as http:
        monkeypatch.setattr(limen.features.login, "sign_in", broken)
        body = {"email": "ada@example.com", "password": PASSWORD}
        answer = await http.post(f"{AUTH}/login", json=body)

    found = problem(answer.status_code, answer.headers, answer.content, expected={500})
    assert found["code"] == "internal_error"
    assert found["request_id"] == answer.headers["x-request-id"]
    assert "secret" not in answer.text


async def test_before_the_start_every_route_fails_closed(settings: Settings) -> None:
    async with client(Limen(settings, cost=CHEAPEST)) as http:
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/readyz")).status_code == 500
        bearer = {"Authorization": f"Bearer {'a' * 9}.b.c"}
        assert (await http.get(f"{AUTH}/me", headers=bearer)).status_code == 401


async def test_a_body_may_have_16_kib() -> None:
    assert MAX_BODY == 16_384


async def test_tokens_of_one_limen_are_worth_nothing_to_another(
    limen: Limen, http: httpx2.AsyncClient, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ada: Person = await somebody(limen, http)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    other = Limen(Settings(data_dir=elsewhere / "data", signing_algorithm="ES256"), cost=CHEAPEST)
    async with other.lifespan(), client(other) as stranger:
        answer = await stranger.get(f"{AUTH}/me", headers=ada.bearer())
        assert answer.status_code == 401
        body = {"refresh_token": ada.tokens["refresh_token"]}
        assert (await stranger.post(f"{AUTH}/refresh", json=body)).status_code == 401
    assert (await ada.me()).status_code == 200
