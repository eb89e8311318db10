"""B9, CVE-2026-94379 (MISP): another method reached the route without its check."""

import httpx2
import pytest

from limen.events import Event
from limen.limen import Limen
from tests.conftest import on_sqlite
from tests.crowds import hashes
from tests.people import AUTH, PASSWORD
from tests.stored import slots_taken

pytestmark = [pytest.mark.anyio, on_sqlite]  # requests are read alike on both

VICTIM = "victim@example.com"
METHODS = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "post", "POSTS", "LOGIN"]
OVERRIDES = ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"]


@pytest.mark.parametrize("route", ["login", "register", "refresh", "logout"])
@pytest.mark.parametrize("method", METHODS)
async def test_another_method_reaches_nothing(
    limen: Limen, wire: httpx2.AsyncClient, happened: list[Event], route: str, method: str
) -> None:
    await limen.features.accounts.create(VICTIM, PASSWORD)
    happened.clear()
    body = {"email": VICTIM, "password": PASSWORD}
    request = wire.build_request("POST", f"{AUTH}/{route}", json=body)
    request.method = method
    response = await wire.send(request)

    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert hashes(happened) == 0
    assert await slots_taken(limen) == {}


@pytest.mark.parametrize("header", OVERRIDES)
async def test_no_header_makes_a_get_a_post(
    limen: Limen, http: httpx2.AsyncClient, happened: list[Event], header: str
) -> None:
    await limen.features.accounts.create(VICTIM, PASSWORD)
    happened.clear()
    query = {"email": VICTIM, "password": PASSWORD, "_method": "POST"}
    response = await http.get(f"{AUTH}/login", params=query, headers={header: "POST"})

    assert response.status_code == 405
    assert hashes(happened) == 0
