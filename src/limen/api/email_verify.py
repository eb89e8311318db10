"""POST /email/verify and /email/verify/confirm: show that one reads the mail of an address."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from limen.api.bodies import AcceptedReply, ConfirmBody, EmailBody
from limen.api.callers import Caller
from limen.api.wiring import HOLDER_OR_NOBODY, Wiring, refusals
from limen.confirmation import Confirming
from limen.errors import InvalidRequest
from limen.verify.claims import Claims


def add_to(router: APIRouter, limen: Wiring) -> None:
    @router.post(
        "/email/verify",
        status_code=202,
        openapi_extra=HOLDER_OR_NOBODY,
        responses=refusals(400, 401, 404, 422, 429, 503),
    )
    async def verify_email(
        client: Caller,
        holder: Annotated[Claims | None, Depends(limen.holder)],
        body: EmailBody | None = None,
    ) -> AcceptedReply:
        """Mail another code to the address in the body, or to that of the access token."""
        verification = limen.features.email_verification
        if body is not None:
            await verification.ask(body.email, client)
        elif holder is not None:
            await verification.send_again(holder.user_id, client)
        else:
            raise InvalidRequest("Send an email in the body, or a bearer access token.")
        return AcceptedReply()

    @router.post(
        "/email/verify/confirm",
        status_code=204,
        response_class=Response,
        openapi_extra=HOLDER_OR_NOBODY,
        responses=refusals(400, 401, 404, 422, 429, 503),
    )
    async def confirm_email(
        body: ConfirmBody,
        client: Caller,
        holder: Annotated[Claims | None, Depends(limen.holder)],
    ) -> None:
        """Verify the address to which the code was mailed."""
        by = Confirming(body.code, client, holder, body.password, body.email)
        await limen.features.email_verification.confirm(by)
