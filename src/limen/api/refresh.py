"""POST /refresh: exchange a refresh token for the pair that follows it."""

from fastapi import APIRouter

from limen.api.bodies import RefreshBody, TokensReply
from limen.api.callers import RetryKey
from limen.api.wiring import Wiring, refusals


def add_to(router: APIRouter, limen: Wiring) -> None:
    @router.post("/refresh", responses=refusals(401, 409, 422, 503))
    async def refresh(body: RefreshBody, retry_key: RetryKey) -> TokensReply:
        """Exchange a refresh token. It works once; using it again ends the session."""
        return TokensReply.of(await limen.features.refresh.rotate(body.refresh_token, retry_key))
