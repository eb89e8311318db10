"""POST /revoke: end the session of a token, as clients of OAuth ask for it (RFC 7009).

It is /logout in other clothes, and knows its tokens in the same way: who holds a token may end its
session, and what is no token of ours is answered like a good one.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from limen.api.bodies import TokenForm
from limen.api.forms import documented_form, form_of
from limen.api.wiring import Wiring, refusals


def add_to(router: APIRouter, limen: Wiring) -> None:
    @router.post(
        "/revoke",
        response_class=Response,
        openapi_extra=documented_form(TokenForm),
        responses=refusals(400, 503),
    )
    async def revoke(form: Annotated[TokenForm, Depends(form_of(TokenForm))]) -> Response:
        """End the session of a refresh token or an access token."""
        # It is of one kind at most: as the other kind it names no session.
        await limen.features.logout.sign_out(refresh_token=form.token, access_token=form.token)
        return Response()
