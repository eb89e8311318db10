"""/users: find accounts, and decide what they may do."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import TypeAdapter

from limen.account_search import State
from limen.api.admin.bodies import AccessBody, UserReply, UsersReply
from limen.api.admin.parameters import (
    NO_QUERY,
    Cursor,
    CursorText,
    Limit,
    Parameters,
    PathId,
    StoredText,
)
from limen.api.bodies import EmailText
from limen.api.wiring import Wiring, refusals

_REFUSALS = refusals(400, 401, 403, 404, 409, 422, 503)
_CURSOR = Cursor[str](TypeAdapter(StoredText))


class UsersQuery(Parameters):
    """`prefix` is how the addresses begin, in any spelling."""

    prefix: EmailText = ""
    state: State | None = None
    after: CursorText = ""
    limit: Limit = 50


def add_to(router: APIRouter, limen: Wiring) -> None:
    _reading(router, limen)
    _signing_in(router, limen)
    _access(router, limen)


def _reading(router: APIRouter, limen: Wiring) -> None:
    @router.get("/users", responses=refusals(400, 401, 403, 422, 503))
    async def list_users(query: Annotated[UsersQuery, Query()]) -> UsersReply:
        """List accounts in the order of their addresses."""
        page = await limen.features.account_search.page(
            prefix=query.prefix,
            state=query.state,
            after=_CURSOR.read(query.after) or "",
            limit=query.limit,
        )
        users = [UserReply.of(account) for account in page.accounts]
        return UsersReply(users=users, next=_CURSOR.written(page.next))

    @router.get("/users/{user_id}", dependencies=[NO_QUERY], responses=_REFUSALS)
    async def show_user(user_id: PathId) -> UserReply:
        """Show an account."""
        return UserReply.of(await limen.features.accounts.get(user_id))


def _signing_in(router: APIRouter, limen: Wiring) -> None:
    @router.post("/users/{user_id}/disable", dependencies=[NO_QUERY], responses=_REFUSALS)
    async def disable_user(user_id: PathId) -> UserReply:
        """Let an account sign in no more, and end its sessions."""
        return UserReply.of(await limen.features.administration.disable(user_id))

    @router.post("/users/{user_id}/enable", dependencies=[NO_QUERY], responses=_REFUSALS)
    async def enable_user(user_id: PathId) -> UserReply:
        """Let an account sign in again. Sessions that have ended stay ended."""
        return UserReply.of(await limen.features.administration.enable(user_id))

    @router.post("/users/{user_id}/require-reset", dependencies=[NO_QUERY], responses=_REFUSALS)
    async def require_reset(user_id: PathId) -> UserReply:
        """Let nobody sign in until the owner chose another password, with a code that is mailed.

        All sessions of the account end.
        """
        return UserReply.of(await limen.features.administration.require_reset(user_id))

    @router.post("/users/{user_id}/end-sessions", dependencies=[NO_QUERY], responses=_REFUSALS)
    async def end_sessions(user_id: PathId) -> UserReply:
        """End all sessions of an account; it may sign in again at once."""
        return UserReply.of(await limen.features.administration.end_sessions(user_id))


def _access(router: APIRouter, limen: Wiring) -> None:
    @router.patch("/users/{user_id}", dependencies=[NO_QUERY], responses=_REFUSALS)
    async def set_access(user_id: PathId, body: AccessBody) -> UserReply:
        """Say which scopes and roles an account has: words with single spaces between.

        Its access tokens are refused from now on. Its sessions go on, and get the new ones by
        refreshing.
        """
        return UserReply.of(
            await limen.features.administration.set_access(
                user_id, scope=body.scope, roles=body.roles
            )
        )

    @router.delete(
        "/users/{user_id}",
        status_code=204,
        response_class=Response,
        dependencies=[NO_QUERY],
        responses=_REFUSALS,
    )
    async def delete_user(user_id: PathId) -> None:
        """Delete an account, with its sessions. Its user_id is never used again."""
        await limen.features.administration.delete(user_id)
