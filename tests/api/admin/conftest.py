"""An administrator, beside the people of the other tests."""

import httpx2
import pytest

from limen.limen import Limen
from tests.people import Person, somebody

ADMIN = "/api/v1/admin"


@pytest.fixture
async def root(limen: Limen, http: httpx2.AsyncClient) -> Person:
    """The one administrator, signed in."""
    return await somebody(limen, http, "root@example.com", scope="admin")


async def ask(person: Person, call: str, body: object = None, **query: object) -> httpx2.Response:
    """Make a call such as "GET /users" to the administration, on somebody's behalf."""
    method, _, path = call.partition(" ")
    return await person.http.request(
        method,
        f"{ADMIN}{path}",
        json=body,
        params={name: str(value) for name, value in query.items()},
        headers=person.bearer(),
    )
