"""GET /.well-known/oauth-authorization-server: every member is there for a reason, and true."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from fastapi import FastAPI

from limen.limen import Limen
from limen.settings import Settings
from tests.clock import ManualClock
from tests.conftest import CHEAPEST
from tests.people import Person
from tests.services import a_service

pytestmark = pytest.mark.anyio

WELL_KNOWN = "/.well-known/oauth-authorization-server"
ISSUER = "https://login.example.com"


@pytest.fixture
def database_url(migrated_sqlite_url: str) -> str:
    """What the settings say alone reaches no database."""
    return migrated_sqlite_url


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, public_url=ISSUER)


async def metadata(http: httpx2.AsyncClient, path: str = WELL_KNOWN) -> dict[str, Any]:
    answer = await http.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "public, max-age=300"
    found: dict[str, Any] = answer.json()
    return found


async def test_it_says_what_is_there_and_nothing_else(http: httpx2.AsyncClient) -> None:
    auth = f"{ISSUER}/api/v1/auth"

    assert await metadata(http) == {
        "issuer": ISSUER,
        "response_types_supported": [],  # REQUIRED (section 2); there is none
        "grant_types_supported": [],  # or it would mean authorization_code and implicit
        "introspection_endpoint": f"{auth}/introspect",
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic"],
        "revocation_endpoint": f"{auth}/revoke",
        "revocation_endpoint_auth_methods_supported": ["none"],
        "jwks_uri": f"{ISSUER}/.well-known/jwks.json",
    }


async def test_every_address_in_it_does_what_its_member_promises(
    limen: Limen, ada: Person, http: httpx2.AsyncClient
) -> None:
    found = await metadata(http)
    where = {name: urlsplit(str(url)).path for name, url in found.items() if "://" in str(url)}
    assert len(where) == 4
    orders, form = await a_service(limen, http), {"token": ada.tokens["access_token"]}

    keys = (await http.get(where["jwks_uri"])).json()["keys"]
    asked = await http.post(where["introspection_endpoint"], data=form, headers=orders.basic())
    assert len(keys) == 1
    assert (asked.json()["active"], asked.json()["iss"]) == (True, found["issuer"])
    assert (await http.post(where["introspection_endpoint"], data=form)).status_code == 401
    assert (await http.post(where["revocation_endpoint"], data=form)).status_code == 200
    assert (await ada.me()).status_code == 401


@pytest.mark.parametrize("name", ["Host", "X-Forwarded-Host", "Forwarded", "X-Forwarded-Proto"])
async def test_no_header_chooses_an_address(http: httpx2.AsyncClient, name: str) -> None:
    expected = (await http.get(WELL_KNOWN)).content
    answer = await http.get(WELL_KNOWN, headers={name: "host=evil.example"})

    assert answer.content == expected


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/openid-configuration",  # it would need ID tokens
        f"{WELL_KNOWN}/",
        f"{WELL_KNOWN}/elsewhere",
        "/api/v1/auth/token",
    ],
)
async def test_what_would_not_be_true_is_not_there(http: httpx2.AsyncClient, path: str) -> None:
    assert (await http.get(path)).status_code == 404


class TestWithoutPublishedKeys:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, signing_algorithm="HS256")

    async def test_no_key_set_is_named(self, http: httpx2.AsyncClient) -> None:
        assert "jwks_uri" not in await metadata(http)


class TestAnIssuerWithAPath:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, public_url=f"{ISSUER}/tenants/one/")

    async def test_the_document_stands_in_front_of_the_path_as_well(
        self, http: httpx2.AsyncClient
    ) -> None:
        """RFC 8414, section 3.1; and where a proxy strips the path, at the usual place."""
        found = await metadata(http, f"{WELL_KNOWN}/tenants/one")

        assert found == await metadata(http)
        assert found["issuer"] == f"{ISSUER}/tenants/one"
        assert found["jwks_uri"] == f"{ISSUER}/tenants/one/.well-known/jwks.json"
        assert (await http.get(f"{WELL_KNOWN}/tenants")).status_code == 404

    @pytest.fixture
    async def guarded(self, settings: Settings, clock: ManualClock) -> AsyncIterator[FastAPI]:
        limen, app = Limen(settings, clock=clock, cost=CHEAPEST), FastAPI()
        app.include_router(limen.router)
        limen.guard(app)
        async with app.router.lifespan_context(app):
            yield app

    async def test_a_guarded_application_shows_it(self, guarded: FastAPI) -> None:
        transport = httpx2.ASGITransport(guarded)
        async with httpx2.AsyncClient(transport=transport, base_url="http://shop.test") as http:
            assert await metadata(http) == await metadata(http, f"{WELL_KNOWN}/tenants/one")
            token = {"token": "x"}
            assert (await http.post("/api/v1/auth/revoke", data=token)).status_code == 200
            asked = await http.post("/api/v1/auth/introspect", data=token)
            assert asked.json()["code"] == "invalid_client"
            assert (await http.get("/orders")).json()["code"] == "missing_token"
