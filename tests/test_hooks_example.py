"""examples/hooks.py does what the pages on claims and events say of it."""

import importlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType

import httpx2
import pytest

from tests.people import AUTH, PASSWORD

pytestmark = pytest.mark.anyio


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The example, imported in an environment of its own."""
    for name in [name for name in os.environ if name.startswith("LIMEN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LIMEN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LIMEN_SIGNING_ALGORITHM", "ES256")
    return importlib.reload(importlib.import_module("examples.hooks"))


@pytest.fixture
async def http(example: ModuleType) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(example.app)
    async with (
        example.app.router.lifespan_context(example.app),
        httpx2.AsyncClient(transport=transport, base_url="http://shop.test") as client,
    ):
        yield client


async def test_a_change_of_tenant_holds_at_once_and_keeps_the_session(
    example: ModuleType, http: httpx2.AsyncClient
) -> None:
    person = {"email": "ada@example.com", "password": PASSWORD}
    user_id = (await http.post(f"{AUTH}/register", json=person)).json()["user_id"]
    await example.limen._subscribers.finish()
    tokens = (await http.post(f"{AUTH}/login", json=person)).json()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert (await http.get("/tenant", headers=bearer)).json() == "new here"

    assert (await http.put("/tenant/acme", headers=bearer)).status_code == 204
    assert (await http.get("/tenant", headers=bearer)).status_code == 401
    used = {"refresh_token": tokens["refresh_token"]}
    tokens = (await http.post(f"{AUTH}/refresh", json=used)).json()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert (await http.get("/tenant", headers=bearer)).json() == "acme"

    await example.limen.features.accounts.delete(user_id)
    await example.limen._subscribers.finish()
    assert example.tenants == {}
