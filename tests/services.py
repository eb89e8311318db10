"""Services that ask limen about tokens, in the words of the tests."""

import base64
from dataclasses import dataclass, field

import httpx2

from limen.limen import Limen
from tests.people import AUTH

INTROSPECT = f"{AUTH}/introspect"
INACTIVE = b'{"active":false}'


@dataclass(frozen=True, slots=True)
class Service:
    """A service with credentials, at a client of its own."""

    http: httpx2.AsyncClient
    client_id: str
    secret: str = field(repr=False)

    async def introspect(self, token: str, **hint: str) -> httpx2.Response:
        form = {"token": token, **hint}
        return await self.http.post(INTROSPECT, data=form, headers=self.basic())

    def basic(self, client_id: str | None = None, secret: str | None = None) -> dict[str, str]:
        pair = f"{client_id or self.client_id}:{secret or self.secret}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


async def a_service(limen: Limen, http: httpx2.AsyncClient, name: str = "orders") -> Service:
    """Make the credentials of a service."""
    made = await limen.features.credentials.create(name)
    return Service(http, made.client.client_id, made.secret)
