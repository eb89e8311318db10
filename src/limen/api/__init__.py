"""The HTTP interface: handlers parse, make one call, and reply.

A route needs an access token unless its name stands in one of the lists below: forgetting to say
so closes a route, nothing opens one by accident.
"""

from collections.abc import Callable, Container, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Security, params
from starlette.types import Lifespan

from limen import origin
from limen.administration import SCOPE
from limen.api import (
    account,
    admin,
    email_change,
    email_verify,
    inbox,
    introspect,
    jwks,
    login,
    logout,
    me,
    metadata,
    operations,
    password,
    refresh,
    register,
    revocations,
    revoke,
    script,
    sessions,
)
from limen.api.requests import LimenRoute
from limen.api.wiring import Wiring
from limen.telemetry.metrics import Metrics
from limen.verify.claims import Claims

PREFIX = "/api/v1/auth"

# Route names that need no access token, with the paths they stand under. Those for the operator
# are apart: an application that mounts limen may have a /metrics of its own, which is its affair.
OPEN = {
    "register": f"POST {PREFIX}/register",
    "verify_email": f"POST {PREFIX}/email/verify",
    "confirm_email": f"POST {PREFIX}/email/verify/confirm",
    "confirm_email_change": f"POST {PREFIX}/email/change/confirm",
    "forgot_password": f"POST {PREFIX}/password/forgot",
    "reset_password": f"POST {PREFIX}/password/reset",
    "login": f"POST {PREFIX}/login",
    "refresh": f"POST {PREFIX}/refresh",
    "logout": f"POST {PREFIX}/logout",
    "revocations": f"GET {PREFIX}/revocations",
    "introspect": f"POST {PREFIX}/introspect",
    "revoke": f"POST {PREFIX}/revoke",
    "metadata": f"GET {metadata.WELL_KNOWN}",
    "metadata_of_path": f"GET {metadata.WELL_KNOWN}/*",
    "jwks": "GET /.well-known/jwks.json",
    "script": "GET /limen.js",
    "script_types": "GET /limen.d.ts",
    "account": "GET /account",
    "account_script": "GET /account.js",
    "account_style": "GET /account.css",
}
# Open, too, where mail is kept for its developer; elsewhere there are no such routes.
OPEN_INBOX = {
    "inbox": "GET /dev/inbox",
    "inbox_letter": "GET /dev/inbox/*",
}
OPEN_OPERATIONS = {
    "healthz": "GET /healthz",
    "readyz": "GET /readyz",
    "metrics": "GET /metrics",
}

# Routes that an OAuth RFC describes: their refusals have an `error`, too.
OAUTH = frozenset({"introspect", "revoke"})


def routes(limen: Wiring, lifespan: Lifespan[Any]) -> APIRouter:
    """Return limen's routes; the application that includes them runs the lifespan with its own."""
    guarded = _guarded(limen)
    auth = APIRouter(prefix=PREFIX, route_class=guarded, tags=["limen"])
    # In this order a request is compared with them, so what is asked for most stands in front.
    for resource in (refresh, login, me, logout, register, revocations, introspect, revoke):
        resource.add_to(auth, limen)
    for resource in (email_verify, email_change, password, sessions):
        resource.add_to(auth, limen)
    well_known = APIRouter(route_class=guarded, tags=["limen"])
    jwks.add_to(well_known, limen)
    metadata.add_to(well_known, limen, PREFIX)
    script.add_to(well_known, limen)
    account.add_to(well_known, limen)
    if limen.keeps_mail:
        inbox.add_to(well_known, limen)
    router = APIRouter(lifespan=lifespan)
    # As they are: FastAPI would make each route anew for every router that includes it.
    router.routes.extend([*auth.routes, *well_known.routes])
    return router


def operations_routes(limen: Wiring, metrics: Metrics | None) -> APIRouter:
    """Return the routes for whoever runs the service."""
    router = APIRouter(route_class=_guarded(limen), tags=["operations"])
    operations.add_to(router, limen, metrics)
    return router


def admin_routes(limen: Wiring) -> APIRouter:
    """Return the routes for administrators: no name opens one, and each needs their scope."""
    return admin.routes(limen, _guarded(limen, open_names=(), scopes=[SCOPE]))


def _guarded(
    limen: Wiring,
    *,
    open_names: Container[str] = frozenset(OPEN | OPEN_INBOX | OPEN_OPERATIONS),
    scopes: Sequence[str] = (),
) -> type[LimenRoute]:
    async def identified(user: Annotated[Claims, Depends(limen.current_user)]) -> None:
        origin.identify(user.user_id)

    methods_at: dict[str, set[str]] = {}

    class GuardedRoute(LimenRoute):
        origin_of = staticmethod(limen.origin_of)

        def __init__(
            self,
            path: str,
            endpoint: Callable[..., Any],
            *,
            name: str | None = None,
            dependencies: Sequence[params.Depends] | None = None,
            **options: Any,
        ) -> None:
            if (name or endpoint.__name__) not in open_names:
                guard = Security(identified, scopes=scopes)
                dependencies = [guard, *(dependencies or ())]
            self.speaks_oauth = (name or endpoint.__name__) in OAUTH
            super().__init__(path, endpoint, name=name, dependencies=dependencies, **options)
            self.methods_here = methods_at.setdefault(path, set())
            self.methods_here |= self.methods or set()

    return GuardedRoute
