"""GET /limen.js: the client for browsers, from the origin that it signs in to.

It is one ES module without dependencies (docs/browser.md); /limen.d.ts declares its types. Both
may be cached for as long as a correction may take to arrive. After that the ETag, a digest of the
text, saves sending it again.
"""

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Request, Response

from limen.api.wiring import Wiring, refusals

MAX_AGE = 300


def add_to(router: APIRouter, _limen: Wiring) -> None:
    module = _File.of("limen.js", "text/javascript")
    declarations = _File.of("limen.d.ts", "text/plain")

    @router.get("/limen.js", response_class=Response, responses=module.answers())
    async def script(request: Request) -> Response:
        """The client for browsers, as an ES module."""
        return module.response(request)

    @router.get("/limen.d.ts", response_class=Response, responses=declarations.answers())
    async def script_types(request: Request) -> Response:
        """The types of it, for TypeScript."""
        return declarations.response(request)


@dataclass(frozen=True, slots=True)
class _File:
    """A file of the package, read once."""

    text: bytes
    media_type: str
    etag: str

    @classmethod
    def of(cls, name: str, media_type: str) -> "_File":
        text = (files("limen") / "static" / name).read_bytes()
        return cls(text, media_type, f'"{hashlib.sha256(text).hexdigest()[:32]}"')

    def response(self, request: Request) -> Response:
        headers = {
            "Cache-Control": f"public, max-age={MAX_AGE}",
            "ETag": self.etag,
            "X-Content-Type-Options": "nosniff",
        }
        known = ",".join(request.headers.getlist("if-none-match")).replace("W/", "").split(",")
        if self.etag in {tag.strip() for tag in known}:  # proxies that compress make it weak
            return Response(status_code=304, headers=headers)
        return Response(self.text, headers=headers, media_type=f"{self.media_type}; charset=utf-8")

    def answers(self) -> dict[int | str, dict[str, Any]]:
        text = {self.media_type: {"schema": {"type": "string"}}}
        unchanged = {"description": "The ETag is the one that was sent along"}
        return {200: {"content": text}, 304: unchanged, **refusals()}
