"""B8, Better Auth PR #10004: `/sign-in//email` was the same route, and another limit.

Every spelling of the path either is the route, with its limit, or is no route at all.
"""

import asyncio
import json

import httpx2
import pytest
from fastapi import FastAPI

from limen import app as standalone
from limen.events import Event
from limen.limen import Limen
from tests.conftest import on_sqlite
from tests.crowds import hashes
from tests.loopback import exchange
from tests.people import AUTH, PASSWORD, guess, somebody

pytestmark = [pytest.mark.anyio, on_sqlite]  # requests are read alike on both

VICTIM = "victim@example.com"

THE_ROUTE = [
    f"{AUTH}/login",
    f"{AUTH}/%6cogin",
    f"{AUTH}/%6C%6F%67%69%6E",
    f"{AUTH}/login?",
    f"{AUTH}/login?email=other@example.com",
    f"{AUTH}/login%0a",  # the router's pattern ends with "$", which forgives one line feed
    "/api%2Fv1/auth/login",
]
NO_ROUTE = [
    f"{AUTH}//login",
    f"/{AUTH}/login",
    f"{AUTH}/login/",
    f"{AUTH}/login//",
    f"{AUTH}/login;x",
    f"{AUTH}/login;x=1",
    f"{AUTH}/login%3Bx",
    f"{AUTH}/login.",
    f"{AUTH}/login.json",
    f"{AUTH}/login%20",
    f"{AUTH}/login%00",
    f"{AUTH}/login%0a%0a",
    f"{AUTH}/login%2f",
    f"{AUTH}/login%252f",
    f"{AUTH}/./login",
    f"{AUTH}/x/../login",
    f"{AUTH}/x/%2e%2e/login",
    f"{AUTH}\\login",
    f"{AUTH}/%256cogin",
    f"{AUTH}/LOGIN",
    f"{AUTH}/Login",
    "/API/v1/auth/login",
    "/auth/login",
    "/login",
    f"{AUTH}/%EF%BD%8Cogin",
]


async def guess_at(wire: httpx2.AsyncClient, path: str) -> int:
    """Send the right password to this path, byte for byte: a client library would tidy it up."""
    body = json.dumps({"email": VICTIM, "password": PASSWORD}).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: limen.test\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    answer = await asyncio.to_thread(exchange, wire.base_url.port or 80, head.encode() + body)
    return answer.status


async def test_every_spelling_is_limited_or_no_route(
    limen: Limen, wire: httpx2.AsyncClient, happened: list[Event]
) -> None:
    await limen.features.accounts.create(VICTIM, PASSWORD)
    for _ in range(5):
        await guess(wire, VICTIM)
    happened.clear()

    assert {path: await guess_at(wire, path) for path in THE_ROUTE} == dict.fromkeys(THE_ROUTE, 429)
    assert {path: await guess_at(wire, path) for path in NO_ROUTE} == dict.fromkeys(NO_ROUTE, 404)
    assert hashes(happened) == 0


async def test_a_limen_that_is_mounted_as_well_has_the_same_limits(
    limen: Limen, http: httpx2.AsyncClient
) -> None:
    await somebody(limen, http, VICTIM)
    outer = FastAPI()
    outer.include_router(limen.router, prefix="/again")
    outer.mount("/below", standalone.build(limen))
    outer.include_router(limen.router)
    transport = httpx2.ASGITransport(outer, client=("198.51.100.7", 4711))
    async with httpx2.AsyncClient(transport=transport, base_url="http://limen.test") as client:
        paths = [f"{prefix}{AUTH}/login" for prefix in ("/again", "/below", "")]
        body = {"email": VICTIM, "password": "not the password"}
        statuses = [
            (await client.post(path, json=body)).status_code for _ in range(3) for path in paths
        ]

    assert statuses == [401] * 5 + [429] * 4
