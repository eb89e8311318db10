"""Files of the package, as they are served: read once, with a digest that saves a second time."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Self

from fastapi import Request, Response

from limen.api.wiring import refusals

MAX_AGE = 300  # seconds: for as long as a correction may take to arrive


@dataclass(frozen=True, slots=True)
class File:
    """A file of the package; `headers` go out beside those of every file."""

    text: bytes
    media_type: str
    etag: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, media_type: str, **headers: str) -> Self:
        """Return the file of this name; `headers` are named with underscores for hyphens."""
        text = (files("limen") / "static" / name).read_bytes()
        etag = f'"{hashlib.sha256(text).hexdigest()[:32]}"'
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(text, media_type, etag, named)

    def response(self, request: Request) -> Response:
        """Return the file, or that the one that is known is still good."""
        headers = {
            "Cache-Control": f"public, max-age={MAX_AGE}",
            "ETag": self.etag,
            "X-Content-Type-Options": "nosniff",
            **self.headers,
        }
        known = ",".join(request.headers.getlist("if-none-match")).replace("W/", "").split(",")
        if self.etag in {tag.strip() for tag in known}:  # proxies that compress make it weak
            return Response(status_code=304, headers=headers)
        return Response(self.text, headers=headers, media_type=f"{self.media_type}; charset=utf-8")

    def answers(self) -> dict[int | str, dict[str, Any]]:
        """Return the answers of its route, for the OpenAPI document."""
        text = {self.media_type: {"schema": {"type": "string"}}}
        unchanged = {"description": "The ETag is the one that was sent along"}
        return {200: {"content": text}, 304: unchanged, **refusals()}
