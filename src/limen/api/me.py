"""GET and DELETE /me: who am I, and not to be any more."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from limen.api.bodies import CurrentPasswordBody, MeReply, moment
from limen.api.callers import Caller
from limen.api.wiring import Wiring, refusals
from limen.verify.claims import Claims


def add_to(router: APIRouter, limen: Wiring) -> None:
    @router.get("/me", responses=refusals(400, 401, 404, 503))
    async def me(user: Annotated[Claims, Depends(limen.current_user)]) -> MeReply:
        """Tell the holder of an access token who he is."""
        account = await limen.features.accounts.get(user.user_id)
        return MeReply(
            user_id=account.user_id,
            email=account.email,
            sid=user.sid,
            scope=" ".join(sorted(user.scopes)),
            created_at=moment(account.created_at),
            email_verified=account.verified_at is not None,
        )

    @router.delete(
        "/me",
        status_code=204,
        response_class=Response,
        responses=refusals(400, 401, 403, 404, 422, 429, 503),
    )
    async def delete_me(
        body: CurrentPasswordBody,
        client: Caller,
        user: Annotated[Claims, Depends(limen.current_user)],
    ) -> None:
        """Delete the account, with all its sessions, at once and for good."""
        await limen.features.account_deletion.delete(user, body.current_password, client)
