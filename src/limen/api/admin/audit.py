"""/audit: what happened, who did it, from where, and with what outcome."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import TypeAdapter

from limen.api.admin.bodies import AuditReply, EntryReply
from limen.api.admin.parameters import (
    Cursor,
    CursorText,
    IdText,
    Limit,
    MomentText,
    Parameters,
    StoredNumber,
    microseconds,
)
from limen.api.wiring import Wiring, refusals
from limen.audit_query import AuditQuery

_CURSOR = Cursor[int](TypeAdapter(StoredNumber))


class AuditParameters(Parameters):
    """Which entries; `actor` is who acted, such as "operator" or "account:USER_ID"."""

    user_id: IdText | None = None
    sid: IdText | None = None
    actor: IdText | None = None
    kind: IdText | None = None
    outcome: IdText | None = None
    since: MomentText | None = None
    until: MomentText | None = None
    order: Literal["newest_first", "oldest_first"] = "newest_first"
    after: CursorText = ""
    limit: Limit = 50


def add_to(router: APIRouter, limen: Wiring) -> None:
    @router.get("/audit", responses=refusals(400, 401, 403, 422, 503))
    async def list_audit(query: Annotated[AuditParameters, Query()]) -> AuditReply:
        """List entries of the audit trail, which shows an event about a second after it."""
        found = await limen.features.audit.entries(_asked(query))
        more = found[query.limit - 1].seq if len(found) > query.limit else None
        entries = [EntryReply.of(entry) for entry in found[: query.limit]]
        return AuditReply(entries=entries, next=_CURSOR.written(more))


def _asked(query: AuditParameters) -> AuditQuery:
    """Return the question to the trail: one entry more than is shown tells whether there is one."""
    return AuditQuery(
        user_id=query.user_id,
        sid=query.sid,
        actor=query.actor,
        kind=query.kind,
        outcome=query.outcome,
        since=microseconds(query.since, "since"),
        until=microseconds(query.until, "until"),
        after_seq=_CURSOR.read(query.after),
        limit=query.limit + 1,
        newest_first=query.order == "newest_first",
        personal=True,
    )
