"""How a refusal looks on the wire: a problem document (RFC 9457) and its headers.

    MissingToken          401  WWW-Authenticate: Bearer
    InvalidToken          401  WWW-Authenticate: Bearer error="invalid_token", ...
    InvalidAuthorization  400  WWW-Authenticate: Bearer error="invalid_request", ...
    InsufficientScope     403  WWW-Authenticate: Bearer error="insufficient_scope", scope="..."
    InsufficientRole      403  WWW-Authenticate: Bearer
    RevocationsStale      503  Retry-After: 1

A request that carried no credentials is told only which scheme to use (RFC 6750, section 3.1).
A verifier that is behind answers 503 and never 401, because clients throw away a token that was
called invalid. Nothing here repeats what was sent, and nothing may be cached.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from limen.verify.errors import (
    GuardError,
    InsufficientRole,
    InsufficientScope,
    InvalidAuthorization,
    InvalidToken,
    MissingToken,
    RevocationsStale,
    UnknownKey,
)

MEDIA_TYPE: Final = "application/problem+json"
NO_STORE: Final = ("Cache-Control", "no-store")
RETRY_AFTER_SECONDS: Final = 1  # verifiers pull every second, so the next pull may be the cure

# The status and the title of each refusal. An error of no known kind is still a refusal.
GUARD_PROBLEMS: Final[Mapping[type[GuardError], tuple[int, str]]] = {
    MissingToken: (401, "Access token missing"),
    InvalidToken: (401, "Access token refused"),
    UnknownKey: (401, "Access token refused"),
    InvalidAuthorization: (400, "Authorization header malformed"),
    InsufficientScope: (403, "Scope insufficient"),
    InsufficientRole: (403, "Role insufficient"),
    RevocationsStale: (503, "Revocations not known"),
    GuardError: (401, "Access refused"),
}

_NOT_QUOTABLE = re.compile(r"[^ !#-\[\]-~]")


@dataclass(frozen=True, slots=True)
class Problem:
    """One refusal: its status, its stable code, a title for its kind and a sentence of detail.

    `headers` go out beside the media type; `extra` members go into the document.
    """

    status: int
    code: str
    title: str
    detail: str
    headers: tuple[tuple[str, str], ...] = ()
    extra: Mapping[str, object] = field(default_factory=dict)

    def body(self) -> bytes:
        """Return the problem document as ASCII JSON."""
        document = {
            "type": f"urn:limen:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            **self.extra,
        }
        return json.dumps(document, separators=(",", ":")).encode("ascii")


def problem_of(error: GuardError) -> Problem:
    """Return how the refusal is answered."""
    kind = next(kind for kind in type(error).__mro__ if kind in GUARD_PROBLEMS)
    status, title = GUARD_PROBLEMS[kind]
    headers = (NO_STORE, _header(error))
    return Problem(status, error.code, title, error.detail, headers)


def _header(error: GuardError) -> tuple[str, str]:
    if isinstance(error, RevocationsStale):
        return "Retry-After", str(RETRY_AFTER_SECONDS)
    return "WWW-Authenticate", _challenge(error)


def _challenge(error: GuardError) -> str:
    """Return the challenge of RFC 6750, section 3."""
    if not isinstance(error, InvalidToken | InvalidAuthorization | InsufficientScope):
        return "Bearer"
    challenge = f'Bearer error="{error.code}", error_description="{_quotable(error.detail)}"'
    if isinstance(error, InsufficientScope):
        challenge += f', scope="{_quotable(" ".join(error.required))}"'
    return challenge


def _quotable(text: str) -> str:
    return _NOT_QUOTABLE.sub("?", text)
