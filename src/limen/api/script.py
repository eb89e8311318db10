"""GET /limen.js: the client for browsers, from the origin that it signs in to.

It is one ES module without dependencies (docs/browser.md); /limen.d.ts declares its types. Both
may be cached for as long as a correction may take to arrive. After that the ETag, a digest of the
text, saves sending it again.
"""

from fastapi import APIRouter, Request, Response

from limen.api.files import File
from limen.api.wiring import Wiring


def add_to(router: APIRouter, _limen: Wiring) -> None:
    module = File.of("limen.js", "text/javascript")
    declarations = File.of("limen.d.ts", "text/plain")

    @router.get("/limen.js", response_class=Response, responses=module.answers())
    async def script(request: Request) -> Response:
        """The client for browsers, as an ES module."""
        return module.response(request)

    @router.get("/limen.d.ts", response_class=Response, responses=declarations.answers())
    async def script_types(request: Request) -> Response:
        """The types of it, for TypeScript."""
        return declarations.response(request)
