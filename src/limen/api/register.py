"""POST /register: open an account for oneself."""

from typing import Annotated

from fastapi import APIRouter, Depends

from limen.api.bodies import AccountReply, Credentials
from limen.api.wiring import Wiring, refusals
from limen.login import Client


def add_to(router: APIRouter, limen: Wiring) -> None:
    @router.post("/register", status_code=201, responses=refusals(403, 409, 422, 429, 503))
    async def register(
        body: Credentials, client: Annotated[Client, Depends(limen.client)]
    ) -> AccountReply:
        """Open an account."""
        account = await limen.features.registration.register(
            body.email, body.password, client.address
        )
        return AccountReply(user_id=account.user_id, email=account.email)
