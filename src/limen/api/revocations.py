"""GET /revocations: what access tokens must be refused before they expire, for other services."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from limen.api.bodies import RevocationsReply
from limen.api.wiring import Wiring, refusals
from limen.feed import MAX_WAIT_SECONDS

MAX_SEQ = 2**63 - 1  # as far as the database counts
MAX_MARK = 64


def add_to(router: APIRouter, limen: Wiring) -> None:
    @router.get("/revocations", response_model=RevocationsReply, responses=refusals(422, 503))
    async def revocations(
        after: Annotated[int, Query(ge=0, le=MAX_SEQ)] = 0,
        mark: Annotated[str, Query(max_length=MAX_MARK)] = "",
        wait: Annotated[int, Query(ge=0, le=MAX_WAIT_SECONDS)] = 0,
    ) -> Response:
        """List what was revoked since number `after`, waiting up to `wait` seconds for news."""
        page = await limen.features.feed.read(after, mark, wait=wait)
        return Response(page.body(), media_type="application/json")
