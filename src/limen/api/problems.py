"""Which status each refusal has. The guard's stand in `limen.verify.problems`, the rest here."""

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from limen import errors
from limen.verify.errors import GuardError, LimenError
from limen.verify.problems import NO_STORE, Problem, problem_of

# The most specific class of an error decides.
_STATUSES: Final[dict[type[LimenError], tuple[int, str]]] = {
    errors.InvalidRequest: (422, "Request not acceptable"),
    errors.BodyTooLarge: (413, "Body too large"),
    errors.BodyTooSlow: (408, "Body too slow"),
    errors.InvalidCredentials: (401, "Sign-in refused"),
    errors.TooManyAttempts: (429, "Too many attempts"),
    errors.InvalidRefreshToken: (401, "Refresh token refused"),
    errors.RefreshSuperseded: (409, "Refresh superseded"),
    errors.InvalidCode: (400, "Code refused"),
    errors.WrongPassword: (403, "Password refused"),
    errors.EmailNotVerified: (403, "Address not verified"),
    errors.InvalidClient: (401, "Client refused"),
    errors.RegistrationClosed: (403, "Registration closed"),
    errors.InvitationRequired: (403, "Invitation required"),
    errors.EmailTaken: (409, "E-mail address taken"),
    errors.AccountNotFound: (404, "Account not found"),
    errors.SessionNotFound: (404, "Session not found"),
    errors.LetterNotFound: (404, "Letter not found"),
    errors.LastAdministrator: (409, "Last administrator"),
    errors.Busy: (503, "Busy"),
    errors.PasswordCheckUnavailable: (503, "Password check unavailable"),
    errors.ClaimsUnavailable: (503, "Claims unavailable"),
    errors.DatabaseUnavailable: (503, "Database unavailable"),
}

# In seconds, where the error itself does not know.
_RETRY_AFTER: Final[dict[type[LimenError], str]] = {
    errors.DatabaseUnavailable: "2",
    errors.PasswordCheckUnavailable: "10",
    errors.ClaimsUnavailable: "2",
}
NOT_READY_RETRY_AFTER = "1"

# What the router itself refuses: the code, and what to do about it.
_BY_ROUTER: Final = {
    404: ("not_found", "There is nothing at this path."),
    405: ("method_not_allowed", "This path has other methods: the Allow header names them."),
}
# What RFC 6749, section 5.2 calls our refusals. Who is told to wait has sent wrong credentials.
_OAUTH: Final = {"invalid_client": "invalid_client", "too_many_attempts": "invalid_client"}
_OAUTH_OTHERWISE: Final = "invalid_request"

_MALFORMED: Final = ("invalid_request", "The request is malformed.")


def problem_for(error: LimenError) -> Problem:
    """Return how an error is answered, whatever raised it."""
    if isinstance(error, GuardError):
        return problem_of(error)
    kind = next(kind for kind in type(error).__mro__ if kind in _STATUSES)
    status, title = _STATUSES[kind]
    headers = (NO_STORE, *_headers(error))
    return Problem(status, error.code, title, error.detail, headers, _members(error))


def problem_for_status(status: int, headers: dict[str, str] | None = None) -> Problem:
    """Return how a status that the router itself gives is answered, such as 404 or 405."""
    code, detail = _BY_ROUTER.get(status, _MALFORMED)
    kept = tuple((headers or {}).items())
    return Problem(status, code, HTTPStatus(status).phrase, detail, (NO_STORE, *kept))


def as_oauth(problem: Problem) -> Problem:
    """Return the same for a route that an OAuth RFC describes: 400 for 422, and an `error`.

    A 5xx is none of OAuth's errors, and says nothing about the request.
    """
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return problem
    status = 400 if problem.status == HTTPStatus.UNPROCESSABLE_ENTITY else problem.status
    error = _OAUTH.get(problem.code, _OAUTH_OTHERWISE)
    return replace(problem, status=status, extra={**problem.extra, "error": error})


def not_ready(checks: Mapping[str, str]) -> Problem:
    """Return the answer of a service that cannot do its work, with what each check says."""
    headers = (NO_STORE, ("Retry-After", NOT_READY_RETRY_AFTER))
    detail = "Some part is not ready: the checks name it."
    return Problem(503, "not_ready", "Not ready", detail, headers, {"checks": checks})


def _headers(error: LimenError) -> tuple[tuple[str, str], ...]:
    match error:
        case errors.TooManyAttempts():
            return (
                ("Retry-After", str(error.retry_after)),
                ("RateLimit", f'"{error.policy}";r=0;t={error.retry_after}'),
                ("RateLimit-Policy", f'"{error.policy}";q={error.quota};w={error.window}'),
            )
        case errors.Busy():
            return (("Retry-After", str(error.retry_after)),)
        case _ if type(error) in _RETRY_AFTER:
            return (("Retry-After", _RETRY_AFTER[type(error)]),)
        case errors.InvalidClient():
            return (("WWW-Authenticate", 'Basic realm="limen", charset="UTF-8"'),)
        case errors.InvalidCredentials() | errors.InvalidRefreshToken():
            return (("WWW-Authenticate", "Bearer"),)  # a 401 must name a scheme: RFC 9110, 15.5.2
        case _:
            return ()


def _members(error: LimenError) -> dict[str, object]:
    members: dict[str, object] = {}
    if isinstance(error, errors.InvalidRequest) and error.field:
        members["field"] = error.field
    if isinstance(error, errors.PasswordRefused):
        members["reason"] = error.reason
    if isinstance(error, errors.TooManyAttempts):
        members["violated-policies"] = [error.policy]
    return members
