"""/outbox: what became of mails and webhooks; neither their content nor whom they are for."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import TypeAdapter

from limen.api.admin.bodies import LetterReply, OutboxReply
from limen.api.admin.parameters import (
    NO_QUERY,
    Cursor,
    CursorText,
    Limit,
    Parameters,
    PathId,
    StoredNumber,
    StoredText,
)
from limen.api.wiring import Wiring, refusals
from limen.deliveries import Position, State

_CURSOR = Cursor[tuple[int, str]](TypeAdapter(tuple[StoredNumber, StoredText]))


class OutboxQuery(Parameters):
    state: State | None = None
    after: CursorText = ""
    limit: Limit = 50


def add_to(router: APIRouter, limen: Wiring) -> None:
    @router.get("/outbox", responses=refusals(400, 401, 403, 422, 503))
    async def list_outbox(query: Annotated[OutboxQuery, Query()]) -> OutboxReply:
        """List letters, the newest first."""
        place = _CURSOR.read(query.after)
        page = await limen.features.deliveries.page(
            state=query.state, after=place and Position(*place), limit=query.limit
        )
        letters = [LetterReply.of(one) for one in page.deliveries]
        return OutboxReply(letters=letters, next=_CURSOR.written(page.next))

    @router.post(
        "/outbox/{letter}/retry",
        status_code=204,
        response_class=Response,
        dependencies=[NO_QUERY],
        responses=refusals(400, 401, 403, 404, 422, 503),
    )
    async def retry_letter(letter: PathId) -> None:
        """Have a letter that waits tried now, not at its time."""
        await limen.features.administration.hurry_letter(letter)
