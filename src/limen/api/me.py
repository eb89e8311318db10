"""GET /me: who am I?"""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends

from limen.api.bodies import MeReply
from limen.api.wiring import Wiring, refusals
from limen.clock import SECOND
from limen.verify.claims import Claims


def add_to(router: APIRouter, limen: Wiring) -> None:
    @router.get("/me", responses=refusals(400, 401, 404, 503))
    async def me(user: Annotated[Claims, Depends(limen.current_user)]) -> MeReply:
        """Tell the holder of an access token who he is."""
        account = await limen.features.accounts.get(user.user_id)
        created_at = datetime.fromtimestamp(account.created_at // SECOND, UTC)
        return MeReply(
            user_id=account.user_id,
            email=account.email,
            sid=user.sid,
            scope=" ".join(sorted(user.scopes)),
            created_at=created_at.isoformat().replace("+00:00", "Z"),
            email_verified=account.verified_at is not None,
        )
