"""GET /.well-known/jwks.json: the public keys that access tokens are signed with (RFC 7517)."""

from typing import Any

from fastapi import APIRouter, Response

from limen.api.wiring import Wiring, refusals
from limen.keys import JWKS_MAX_AGE


def add_to(router: APIRouter, limen: Wiring) -> None:
    @router.get("/.well-known/jwks.json", responses=refusals())
    async def jwks(response: Response) -> dict[str, Any]:
        """The public keys."""
        response.headers["Cache-Control"] = f"public, max-age={JWKS_MAX_AGE}"
        return limen.memory.ring.jwks()
