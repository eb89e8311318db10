"""Guarding single routes of a FastAPI application.

    current_user = CurrentUser(verifier)

    @app.get("/notes")
    async def notes(user: Annotated[Claims, Depends(current_user)]) -> ...

    @app.delete("/users/{user_id}")
    async def erase(user: Annotated[Claims, Security(current_user, scopes=["admin"])]) -> ...

    @app.put("/notes/{id}")
    async def edit(user: Annotated[Claims, Depends(current_user.roles("editor"))]) -> ...

The same object guards HTTP routes and WebSockets, one route or, as
`FastAPI(dependencies=[Depends(current_user)])`, all of them. Scopes named along a chain of
dependencies add up, and the token must carry every one of them; with roles it is the same. Behind
a `Guard` with the same verifier the token is not verified a second time.

FastAPI has two ways to refuse. An HTTP route raises an HTTPException, and so does a WebSocket
where the server can answer a handshake with a response (the ASGI extension
`websocket.http.response`); elsewhere only a WebSocketException closes it before it is accepted.
Both carry the GuardError in `error`. Any application answers them with the right status and
headers; after `add_problem_handlers(app)` it answers with problem documents (RFC 9457) as well.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, cast

from fastapi import Depends, FastAPI, HTTPException, WebSocket, WebSocketException
from fastapi.openapi.models import OAuth2, OAuthFlowPassword, OAuthFlows
from fastapi.requests import HTTPConnection
from fastapi.responses import Response
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from fastapi.websockets import WebSocketState

from limen.verify.claims import Claims
from limen.verify.errors import GuardError, InsufficientRole, InsufficientScope
from limen.verify.middleware import POLICY_VIOLATION, admit, can_respond
from limen.verify.problems import MEDIA_TYPE, Problem, problem_of
from limen.verify.verifier import Verifier


class Refused(HTTPException):
    """A request stopped in front of a guarded route. `error` says why."""

    def __init__(self, error: GuardError) -> None:
        problem = problem_of(error)
        super().__init__(problem.status, detail=problem.detail, headers=dict(problem.headers))
        self.error = error


class RefusedSocket(WebSocketException):
    """The same for a WebSocket whose server offers no way but to close it."""

    def __init__(self, error: GuardError) -> None:
        super().__init__(POLICY_VIOLATION, reason=error.code)
        self.error = error


class CurrentUser(SecurityBase):
    """The dependency that turns a request's access token into `Claims`.

    `token_url` is where the Authorize button of /docs sends e-mail and password; relative, it
    belongs to the address of the application itself. One of another origin is asked by the browser
    only if it answers CORS, and `limen serve` does not. `scopes` maps the scopes that the button
    offers to a description each.
    """

    def __init__(
        self,
        verifier: Verifier,
        *,
        token_url: str = "api/v1/auth/login",  # noqa: S107 - an address, not a token
        scopes: Mapping[str, str] | None = None,
    ) -> None:
        flow = OAuthFlowPassword(tokenUrl=token_url, scopes=dict(scopes or {}))
        self.model = OAuth2(flows=OAuthFlows(password=flow))
        self.scheme_name = "limen"
        self._verifier = verifier

    async def __call__(self, connection: HTTPConnection, required: SecurityScopes) -> Claims:
        """Return the claims of the caller's access token.

        Raises:
            Refused: There is no good token, or it lacks a required scope.
            RefusedSocket: The same, where a WebSocket can only be closed.
        """
        try:
            claims = await admit(connection.scope, self._verifier)
            if not claims.scopes.issuperset(required.scopes):
                raise InsufficientScope(tuple(required.scopes))
        except GuardError as error:
            raise _refusal(connection, error) from error
        return claims

    def roles(self, *required: str) -> Callable[..., Awaitable[Claims]]:
        """Return the dependency that asks for every one of these roles, too.

        It raises what this one raises.
        """

        async def holder(
            connection: HTTPConnection, claims: Annotated[Claims, Depends(self)]
        ) -> Claims:
            if not claims.roles.issuperset(required):
                raise _refusal(connection, InsufficientRole(required))
            return claims

        return holder


def add_problem_handlers(app: FastAPI) -> None:
    """Make the application answer refusals, and any GuardError it lets escape, as problems."""
    handler: Any = _answer  # Starlette has no type for one that serves both kinds of connection
    app.add_exception_handler(Refused, handler)
    app.add_exception_handler(GuardError, handler)


def problem_response(problem: Problem) -> Response:
    """Return the problem as a response."""
    return Response(
        problem.body(),
        status_code=problem.status,
        headers=dict(problem.headers),
        media_type=MEDIA_TYPE,
    )


def _refusal(connection: HTTPConnection, error: GuardError) -> Refused | RefusedSocket:
    return Refused(error) if _can_respond(connection) else RefusedSocket(error)


async def _answer(connection: HTTPConnection, error: Exception) -> Response | None:
    problem = problem_of(error.error if isinstance(error, Refused) else cast(GuardError, error))
    if isinstance(connection, WebSocket) and not _can_respond(connection):
        await connection.close(POLICY_VIOLATION, reason=problem.code)
        return None
    return problem_response(problem)


def _can_respond(connection: HTTPConnection) -> bool:
    if isinstance(connection, WebSocket):
        undecided = connection.application_state is WebSocketState.CONNECTING
        return undecided and can_respond(connection.scope)
    return True
