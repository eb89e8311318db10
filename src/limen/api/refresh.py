"""POST /refresh: exchange a refresh token for the pair that follows it.

The hottest of limen's routes: it reads its header itself, since what FastAPI does for a dependency
shows in a refresh.
"""

from fastapi import APIRouter, Request

from limen.api.bodies import RefreshBody, TokensReply
from limen.api.callers import RETRY_KEY, retry_key
from limen.api.wiring import Wiring, refusals


def add_to(router: APIRouter, limen: Wiring) -> None:
    @router.post(
        "/refresh",
        openapi_extra={"parameters": [RETRY_KEY]},
        responses=refusals(401, 409, 422, 503),
    )
    async def refresh(body: RefreshBody, request: Request) -> TokensReply:
        """Exchange a refresh token. It works once; using it again ends the session."""
        key = retry_key(request)
        return TokensReply.of(await limen.features.refresh.rotate(body.refresh_token, key))
