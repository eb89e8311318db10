"""Sessions of others: where somebody is signed in, and signing him out there."""

from fastapi import APIRouter, Response

from limen.api.admin.bodies import UserSessionReply, UserSessionsReply
from limen.api.admin.parameters import NO_QUERY, PathId
from limen.api.wiring import Wiring, refusals

_REFUSALS = refusals(400, 401, 403, 404, 422, 503)


def add_to(router: APIRouter, limen: Wiring) -> None:
    @router.get("/users/{user_id}/sessions", dependencies=[NO_QUERY], responses=_REFUSALS)
    async def list_user_sessions(user_id: PathId) -> UserSessionsReply:
        """Show where an account is signed in."""
        living, complete = await limen.features.administration.sessions_of(user_id)
        sessions = [UserSessionReply.of(one) for one in living]
        return UserSessionsReply(sessions=sessions, complete=complete)

    @router.delete(
        "/sessions/{sid}",
        status_code=204,
        response_class=Response,
        dependencies=[NO_QUERY],
        responses=_REFUSALS,
    )
    async def end_user_session(sid: PathId) -> None:
        """End a session, whether or not it has ended already."""
        await limen.features.administration.end_session(sid)
