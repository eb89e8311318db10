"""Why a request was not let through.

    LimenError                     everything limen raises on purpose
    └── GuardError                 raised in front of a guarded route
        ├── MissingToken           401  no access token was presented
        ├── InvalidToken           401  one was, and it is not good; `reason` says why
        │   └── UnknownKey              the same, of a key that is not known (yet)
        ├── InvalidAuthorization   400  the Authorization header itself is malformed
        ├── InsufficientScope      403  a good token that lacks a required scope
        ├── InsufficientRole       403  the same with a required role
        └── RevocationsStale       503  what was revoked is not known well enough to say yes

`code` is a promise: programs may branch on it. `detail` is one sentence for a person and never
repeats what was sent. The statuses stand here to read; `limen.verify.problems` is what maps them.
"""

from typing import ClassVar, Literal

Reason = Literal[
    "malformed",
    "unknown_key",
    "bad_signature",
    "wrong_type",
    "wrong_issuer",
    "wrong_audience",
    "bad_claims",
    "not_yet_valid",
    "expired",
    "ended",
]

_REASONS: dict[Reason, str] = {
    "malformed": "The access token is malformed.",
    "unknown_key": "The access token is signed by a key that is not known here.",
    "bad_signature": "The access token's signature does not verify.",
    "wrong_type": "This is not an access token: its typ must be at+jwt.",
    "wrong_issuer": "The access token comes from another issuer.",
    "wrong_audience": "The access token is meant for another audience.",
    "bad_claims": "The access token lacks a required claim, or one has a wrong value.",
    "not_yet_valid": "The access token is not valid yet: check the clocks.",
    "expired": "The access token has expired: refresh it.",
    "ended": "The session of this access token has ended: sign in again.",
}


class LimenError(Exception):
    """Everything that limen raises on purpose."""

    code: ClassVar[str] = "error"
    detail: str = "Something was refused."

    def __init__(self, detail: str | None = None) -> None:
        if detail is not None:
            self.detail = detail
        super().__init__(self.detail)


class GuardError(LimenError):
    """A request was stopped in front of a guarded route."""


class MissingToken(GuardError):
    code = "missing_token"
    detail = "This route needs an access token: send it as 'Authorization: Bearer <token>'."


class InvalidToken(GuardError):
    code = "invalid_token"

    def __init__(self, reason: Reason) -> None:
        self.reason: Reason = reason
        super().__init__(_REASONS[reason])


class UnknownKey(InvalidToken):
    """No key of that name is known: it may have been made a moment ago."""

    def __init__(self) -> None:
        super().__init__("unknown_key")


class InvalidAuthorization(GuardError):
    code = "invalid_request"
    detail = "Send exactly one Authorization header, of the form 'Bearer <token>'."


class InsufficientScope(GuardError):
    code = "insufficient_scope"

    def __init__(self, required: tuple[str, ...]) -> None:
        self.required = required
        super().__init__(f"This route needs a token with the scope: {' '.join(required)}.")


class InsufficientRole(GuardError):
    code = "insufficient_role"

    def __init__(self, required: tuple[str, ...]) -> None:
        self.required = required
        super().__init__(f"This route needs a token with the role: {' '.join(required)}.")


class RevocationsStale(GuardError):
    code = "revocations_stale"
    detail = "What was revoked is not known well enough just now; try again in a moment."
