"""GET and DELETE /sessions: where one is signed in, and ending it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from limen.api.bodies import SessionReply, SessionsReply
from limen.api.wiring import Wiring, refusals
from limen.verify.claims import Claims

_Sid = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]


def add_to(router: APIRouter, limen: Wiring) -> None:
    @router.get("/sessions", responses=refusals(400, 401, 503))
    async def sessions(user: Annotated[Claims, Depends(limen.current_user)]) -> SessionsReply:
        """Tell the holder of an access token where he is signed in."""
        living, complete = await limen.features.own_sessions.living(user)
        return SessionsReply(sessions=[SessionReply.of(one) for one in living], complete=complete)

    @router.delete(
        "/sessions",
        status_code=204,
        response_class=Response,
        responses=refusals(400, 401, 404, 503),
    )
    async def end_other_sessions(user: Annotated[Claims, Depends(limen.current_user)]) -> None:
        """End all other sessions. This one goes on when it is refreshed."""
        await limen.features.own_sessions.end_others(user)

    @router.delete(
        "/sessions/{sid}",
        status_code=204,
        response_class=Response,
        responses=refusals(400, 401, 404, 422, 503),
    )
    async def end_session(sid: _Sid, user: Annotated[Claims, Depends(limen.current_user)]) -> None:
        """End one session, at once. One that has ended is answered like any other."""
        await limen.features.own_sessions.end(user, sid)
