"""POST /email/change and /email/change/confirm: have another address."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from limen.api.bodies import AcceptedReply, ConfirmBody, NewEmailBody
from limen.api.callers import Caller
from limen.api.wiring import HOLDER_OR_NOBODY, Wiring, refusals
from limen.confirmation import Confirming
from limen.verify.claims import Claims


def add_to(router: APIRouter, limen: Wiring) -> None:
    @router.post(
        "/email/change",
        status_code=202,
        responses=refusals(400, 401, 403, 404, 422, 429, 503),
    )
    async def change_email(
        body: NewEmailBody,
        client: Caller,
        user: Annotated[Claims, Depends(limen.current_user)],
    ) -> AcceptedReply:
        """Ask for another address: a code is mailed to it."""
        await limen.features.email_change.ask(
            user.user_id, body.email, body.current_password, client
        )
        return AcceptedReply()

    @router.post(
        "/email/change/confirm",
        status_code=204,
        response_class=Response,
        openapi_extra=HOLDER_OR_NOBODY,
        responses=refusals(400, 401, 404, 422, 429, 503),
    )
    async def confirm_email_change(
        body: ConfirmBody,
        client: Caller,
        holder: Annotated[Claims | None, Depends(limen.holder)],
    ) -> None:
        """Have the address to which the code was mailed. Other sessions end; this one goes on."""
        by = Confirming(body.code, client, holder, body.password, body.email)
        await limen.features.email_change.confirm(by)
