"""GET /.well-known/oauth-authorization-server: what clients of OAuth find here (RFC 8414).

Only what is true. There is no authorization endpoint, and /login, though it takes the form of a
password grant, does not answer as a token endpoint does, so neither is named. The two lists that
are empty say so: the RFC requires the one, and without the other a reader would have to assume
grants that do not exist (section 2). Every URL is put together from the issuer, and none from a
Host header. Where the issuer has a path, the document stands in front of that path as well
(section 3.1).
"""

from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Response

from limen.api.wiring import Wiring, refusals
from limen.keys import JWKS_MAX_AGE

WELL_KNOWN = "/.well-known/oauth-authorization-server"


def add_to(router: APIRouter, limen: Wiring, prefix: str) -> None:
    """Add the document; the endpoints that it names stand under the prefix."""

    async def metadata(response: Response) -> dict[str, Any]:
        """What this server offers to clients of OAuth."""
        response.headers["Cache-Control"] = f"public, max-age={JWKS_MAX_AGE}"
        return _document(limen, prefix)

    router.get(WELL_KNOWN, name="metadata", responses=refusals())(metadata)
    if path := urlsplit(limen.issuer).path:
        router.get(WELL_KNOWN + path, name="metadata_of_path", responses=refusals())(metadata)


def _document(limen: Wiring, prefix: str) -> dict[str, Any]:
    issuer = limen.issuer
    document: dict[str, Any] = {
        "issuer": issuer,
        "response_types_supported": [],
        "grant_types_supported": [],
        "introspection_endpoint": f"{issuer}{prefix}/introspect",
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic"],
        "revocation_endpoint": f"{issuer}{prefix}/revoke",
        "revocation_endpoint_auth_methods_supported": ["none"],
    }
    if limen.memory.ring.jwks()["keys"]:  # there are none of HS256
        document["jwks_uri"] = f"{issuer}/.well-known/jwks.json"
    return document
