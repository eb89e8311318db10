"""/api/v1/admin/: the administration, for access tokens with the scope `admin`.

Every route here needs that scope: the router demands it, and no name opens one. What a route
changes is decided in one transaction and recorded with the administrator as the actor. No answer
holds a password, a hash, a code or a token, and no body takes one; each may hold addresses of
people, so none may be stored on its way.

Lists come a page at a time: repeat the request with `after` set to the `next` of the last answer,
until that is null. Parameters that are not known are refused, because one that is mistyped would
show more than was asked for.
"""

from fastapi import APIRouter

from limen.api.admin import audit, keys, outbox, sessions, settings, users
from limen.api.requests import LimenRoute
from limen.api.wiring import Wiring

PREFIX = "/api/v1/admin"


def routes(limen: Wiring, guarded: type[LimenRoute]) -> APIRouter:
    """Return the routes, of a class that guards each of them."""
    router = APIRouter(prefix=PREFIX, route_class=guarded, tags=["administration"])
    for resource in (users, sessions, keys, audit, outbox, settings):
        resource.add_to(router, limen)
    return router
