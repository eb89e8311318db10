"""POST /logout: end a session, named by its refresh token, its access token, or both.

Signing out must always work: a token that is unknown, expired, or of a session that has ended is
answered like a good one.
"""

from fastapi import APIRouter, Request, Response

from limen.api.bodies import LogoutBody
from limen.api.wiring import Wiring, refusals
from limen.errors import InvalidRequest
from limen.verify.bearer import bearer_token
from limen.verify.errors import MissingToken


def add_to(router: APIRouter, limen: Wiring) -> None:
    @router.post(
        "/logout",
        status_code=204,
        response_class=Response,
        responses=refusals(400, 422, 503),
    )
    async def logout(request: Request, body: LogoutBody | None = None) -> None:
        """End the session of the refresh token in the body, or of the bearer access token."""
        refresh_token = body.refresh_token if body else None
        access_token = _bearer(request)
        if refresh_token is None and access_token is None:
            raise InvalidRequest("Send a refresh_token in the body, or a bearer access token.")
        await limen.features.logout.sign_out(refresh_token=refresh_token, access_token=access_token)


def _bearer(request: Request) -> str | None:
    try:
        return bearer_token(request.headers.raw)
    except MissingToken:
        return None
