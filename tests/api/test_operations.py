"""Alive, ready, counted: what the operator's routes say, and that readiness comes and goes."""

import asyncio
import re
import threading
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from limen import app as standalone
from limen.limen import Limen
from limen.memory import FOLLOW_SECONDS
from limen.settings import Settings
from limen.telemetry.shared_metrics import SharedMetrics, in_turn
from tests.attacks.outside import watched
from tests.conftest import CHEAPEST
from tests.people import Person, guess
from tests.refusals import problem
from tests.stored import aged, moved_away

pytestmark = pytest.mark.anyio

ALL_OK = {"database": "ok", "keys": "ok", "revocations": "ok"}

PROMISED = {
    "limen_sign_ins_total": 'outcome="success"',
    "limen_refreshes_total": 'outcome="rotated"',
    "limen_replays_total": "",
    "limen_limits_hit_total": 'limit="login"',
    "limen_sessions_ended_total": 'reason="replay"',
    "limen_registrations_total": "",
    "limen_password_hashes_total": "",
    "limen_password_queue_refused_total": "",
    "limen_password_queue_waiting": "",
    "limen_password_queue_seconds_bucket": 'le="',
    "limen_password_hash_seconds_bucket": 'le="',
    "limen_http_requests_total": 'method="POST"',
    "limen_http_request_seconds_bucket": 'route="',
    "limen_keys_created_total": 'algorithm="ES256"',
    "limen_build_info": 'version="',
}


async def broken_parts(http: httpx2.AsyncClient) -> dict[str, str]:
    answer = await http.get("/readyz")
    found = problem(answer.status_code, answer.headers, answer.content, expected={503})
    assert found["code"] == "not_ready"
    assert answer.headers["retry-after"] == "1"
    checks: dict[str, str] = found["checks"]
    assert checks.keys() == ALL_OK.keys()
    return {part: says for part, says in checks.items() if says != "ok"}


async def ready(http: httpx2.AsyncClient) -> bool:
    answer = await http.get("/readyz")
    return answer.status_code == 200 and answer.json() == {"status": "ready", "checks": ALL_OK}


async def test_a_running_limen_is_alive_and_ready(http: httpx2.AsyncClient) -> None:
    alive = await http.get("/healthz")

    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
    assert await ready(http)


async def test_being_alive_asks_nobody(http: httpx2.AsyncClient) -> None:
    await http.get("/healthz")
    with watched() as acts:
        assert (await http.get("/healthz")).status_code == 200

    assert acts == []


async def test_a_database_that_has_gone_is_said_and_its_return_noticed(
    limen: Limen, http: httpx2.AsyncClient
) -> None:
    with moved_away(limen):
        assert await broken_parts(http) == {"database": "unavailable"}
        assert (await http.get("/healthz")).status_code == 200

    assert await ready(http)


async def test_a_schema_of_another_version_is_said(limen: Limen, http: httpx2.AsyncClient) -> None:
    async with limen.features.database.write() as connection:
        await connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")

    assert await broken_parts(http) == {"database": "its schema is 0000"}


async def test_missing_keys_are_said(limen: Limen, http: httpx2.AsyncClient) -> None:
    ring = limen.features.memory.ring
    keys = ring.all
    ring.replace([])
    assert await broken_parts(http) == {"keys": "no signing key"}

    ring.replace(keys)
    assert await ready(http)


async def test_revocations_that_are_not_followed_are_said(
    limen: Limen, http: httpx2.AsyncClient
) -> None:
    async with aged(limen, 60):
        assert await broken_parts(http) == {"revocations": "not followed lately"}

    async with asyncio.timeout(5 * FOLLOW_SECONDS):
        while not await ready(http):  # noqa: ASYNC110  the next pull makes it so
            await asyncio.sleep(0.05)


async def test_everything_broken_is_said_line_by_line(
    limen: Limen, http: httpx2.AsyncClient
) -> None:
    limen.features.memory.ring.replace([])

    with moved_away(limen):
        assert await broken_parts(http) == {"database": "unavailable", "keys": "no signing key"}


async def test_the_metrics_have_the_promised_names(http: httpx2.AsyncClient, ada: Person) -> None:
    await ada.refresh()
    await guess(http, "ada@example.com")
    answer = await http.get("/metrics")

    assert answer.headers["content-type"].startswith("text/plain")
    for name, label in PROMISED.items():
        pattern = rf"(?m)^{name}(\{{.*{re.escape(label)}.*\}})? [0-9.e+-]+$"
        assert re.search(pattern, answer.text), name
    assert 'limen_sign_ins_total{outcome="success"} 1.0' in answer.text
    assert 'limen_sign_ins_total{outcome="invalid_credentials"} 1.0' in answer.text
    assert 'limen_refreshes_total{outcome="rotated"} 1.0' in answer.text


async def test_whoever_waits_for_the_metrics_holds_nobody_up(
    limen: Limen, http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process has its turn at the files, and takes its time."""
    has_turn, is_over = threading.Event(), threading.Event()

    def take_a_turn(place: Path) -> None:
        with in_turn(place):
            has_turn.set()
            is_over.wait(5)

    with SharedMetrics() as shared:
        place = Path(*shared.environment.values())
        monkeypatch.setattr(limen.metrics, "_folder", place)
        other = threading.Thread(target=take_a_turn, args=[place])
        other.start()
        has_turn.wait()
        reading = asyncio.create_task(http.get("/metrics"))
        await asyncio.sleep(0.1)
        assert (await http.get("/healthz")).status_code == 200
        assert not reading.done()
        is_over.set()
        assert (await reading).status_code == 200
        other.join()


async def test_the_metrics_can_be_turned_off(settings: Settings) -> None:
    quiet = Limen(replace(settings, metrics=False), cost=CHEAPEST)
    transport = httpx2.ASGITransport(standalone.build(quiet))
    async with httpx2.AsyncClient(transport=transport, base_url="http://limen.test") as http:
        assert (await http.get("/metrics")).status_code == 404
        assert "/metrics" not in (await http.get("/openapi.json")).json()["paths"]
