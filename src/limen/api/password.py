"""POST /password/forgot, /password/reset and /password/change: to a new password."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from limen.api.bodies import AcceptedReply, EmailBody, NewPasswordBody, ResetBody
from limen.api.callers import Caller, hand_out_device
from limen.api.wiring import NEW_DEVICE, Wiring, refusals
from limen.verify.claims import Claims


def add_to(router: APIRouter, limen: Wiring) -> None:
    @router.post("/password/forgot", status_code=202, responses=refusals(422, 429, 503))
    async def forgot_password(body: EmailBody, client: Caller) -> AcceptedReply:
        """Have a code mailed, with which to choose another password."""
        await limen.features.password_reset.forgot(body.email, client)
        return AcceptedReply()

    @router.post(
        "/password/reset",
        status_code=204,
        response_class=Response,
        responses={204: {"headers": NEW_DEVICE}, **refusals(400, 422, 429, 503)},
    )
    async def reset_password(body: ResetBody, client: Caller, response: Response) -> None:
        """Choose another password with a code. All sessions end; the address is verified."""
        device = await limen.features.password_reset.reset(
            body.code, body.password, client, email=body.email
        )
        hand_out_device(response, device, is_https=limen.is_https)

    @router.post(
        "/password/change",
        status_code=204,
        response_class=Response,
        responses=refusals(400, 401, 403, 404, 422, 429, 503),
    )
    async def change_password(
        body: NewPasswordBody,
        client: Caller,
        user: Annotated[Claims, Depends(limen.current_user)],
    ) -> None:
        """Have another password. Other sessions end; this one goes on when it is refreshed."""
        await limen.features.password_change.change(
            user, body.current_password, body.new_password, client
        )
