"""POST /register: open an account for oneself.

Where mail is configured the answer is the same for every address, and the rest is mailed to it.
"""

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from limen.api.bodies import AcceptedReply, AccountReply, Registering
from limen.api.callers import Caller
from limen.api.wiring import Wiring, refusals


def add_to(router: APIRouter, limen: Wiring) -> None:
    @router.post(
        "/register",
        status_code=201,
        response_model=AccountReply,
        responses={202: {"model": AcceptedReply}, **refusals(400, 403, 409, 422, 429, 503)},
    )
    async def register(body: Registering, client: Caller) -> AccountReply | Response:
        """Open an account."""
        account = await limen.features.registration.register(
            body.email, body.password, client.address, invitation=body.invitation
        )
        if account is None:
            return JSONResponse(AcceptedReply().model_dump(), 202)
        return AccountReply(user_id=account.user_id, email=account.email)
