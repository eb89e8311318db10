"""Everything limen raises on purpose. Each leaf has a stable `code`.

    LimenError
    ├── GuardError                  in front of a guarded route; drawn in limen.verify.errors
    ├── InvalidRequest              malformed, oversized or unacceptable input
    │   ├── BodyTooLarge
    │   ├── BodyTooSlow
    │   └── PasswordRefused         the password breaks the policy; `reason` says which part
    ├── InvalidCredentials          wrong password, unknown or disabled account: one answer
    ├── TooManyAttempts             a limit refused the attempt; `retry_after` says how long
    ├── InvalidRefreshToken         forged, expired, used, or of an ended session: one answer
    ├── RefreshSuperseded           another tab refreshed first: read the store again
    ├── InvalidCode                 wrong, used, expired, or of another purpose: one answer
    ├── WrongPassword               the current password, asked for once more, is wrong
    ├── EmailNotVerified            the password is right, and its address must be verified first
    ├── InvalidClient               no client credentials, or wrong ones: one answer
    ├── RegistrationClosed          nobody may open an account for himself here
    ├── InvitationRequired          nobody may without an invitation
    ├── EmailTaken
    ├── AccountNotFound
    ├── SessionNotFound             no session of this account has that sid
    ├── LetterNotFound              no such letter waits in the outbox
    ├── LastAdministrator           nobody would be left who may administrate
    ├── Busy                        the hashing queue is full
    ├── PasswordCheckUnavailable    nobody can tell whether a new password has leaked
    ├── ClaimsUnavailable           the application cannot say what its tokens should say
    ├── DatabaseUnavailable         locked, full, read-only or gone: nothing was decided
    ├── SchemaOutdated              the database has another schema: `limen migrate` mends it
    └── ConfigurationError          limen cannot start like this; names the variable and a fix

HTTP statuses belong to `limen.api.problems`.
"""

from limen.verify.errors import GuardError, LimenError

__all__ = [
    "AccountNotFound",
    "BodyTooLarge",
    "BodyTooSlow",
    "Busy",
    "ClaimsUnavailable",
    "ConfigurationError",
    "DatabaseUnavailable",
    "EmailNotVerified",
    "EmailTaken",
    "GuardError",
    "InvalidClient",
    "InvalidCode",
    "InvalidCredentials",
    "InvalidRefreshToken",
    "InvalidRequest",
    "InvitationRequired",
    "LastAdministrator",
    "LetterNotFound",
    "LimenError",
    "PasswordCheckUnavailable",
    "PasswordRefused",
    "RefreshSuperseded",
    "RegistrationClosed",
    "SchemaOutdated",
    "SessionNotFound",
    "TooManyAttempts",
    "WrongPassword",
]


class InvalidRequest(LimenError):
    """The request cannot be understood or accepted; `field` names the member at fault."""

    code = "invalid_request"
    detail = "The request is malformed."

    def __init__(self, detail: str | None = None, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.field = field


class BodyTooLarge(InvalidRequest):
    code = "body_too_large"
    detail = "The body is larger than 16 KiB."


class BodyTooSlow(InvalidRequest):
    code = "body_too_slow"
    detail = "The body did not arrive within ten seconds."


class PasswordRefused(InvalidRequest):
    """The password breaks the policy.

    `reason` is one of "too_short", "too_long", "common", "context", "blocked" and "breached".
    """

    code = "password_refused"

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail, field="password")
        self.reason = reason


class InvalidCredentials(LimenError):
    code = "invalid_credentials"
    detail = "The e-mail address or the password is wrong."


class TooManyAttempts(LimenError):
    """A limit refused the attempt before anything was looked at.

    `policy` is the limit's name, `quota` attempts are admitted per `window` seconds, and the
    next one is admitted after `retry_after` seconds, which is never 0.
    """

    code = "too_many_attempts"
    detail = "Too many attempts: wait before trying again."

    def __init__(self, *, policy: str, quota: int, window: int, retry_after: int) -> None:
        super().__init__()
        self.policy = policy
        self.quota = quota
        self.window = window
        self.retry_after = retry_after


class InvalidRefreshToken(LimenError):
    code = "invalid_refresh_token"
    detail = "The refresh token is not valid any more: sign in again."


class RefreshSuperseded(LimenError):
    code = "refresh_superseded"
    detail = "Another request has just refreshed this session: use the token it was given."


class InvalidCode(LimenError):
    code = "invalid_code"
    detail = "The code is wrong, used or expired: ask for another one."


class WrongPassword(LimenError):
    code = "wrong_password"
    detail = "The current password is wrong."


class EmailNotVerified(LimenError):
    code = "email_not_verified"
    detail = "Verify the e-mail address first, with the code that was mailed to it."


class InvalidClient(LimenError):
    code = "invalid_client"
    detail = "This needs the credentials of a client, sent with HTTP Basic; see 'limen clients'."


class RegistrationClosed(LimenError):
    code = "registration_closed"
    detail = "Accounts are made by the operator here."


class InvitationRequired(LimenError):
    code = "invitation_required"
    detail = "Registering needs an invitation here: send the code that was mailed to you."


class EmailTaken(LimenError):
    code = "email_taken"
    detail = "There is already an account with this e-mail address."


class AccountNotFound(LimenError):
    code = "account_not_found"
    detail = "There is no such account."


class SessionNotFound(LimenError):
    code = "session_not_found"
    detail = "There is no such session."


class LetterNotFound(LimenError):
    code = "letter_not_found"
    detail = "There is no such letter, or it does not wait any more."


class LastAdministrator(LimenError):
    code = "last_administrator"
    detail = "Nobody would be left with the scope admin: give it to somebody else first."


class Busy(LimenError):
    """The hashing queue is full; there should be room after `retry_after` seconds."""

    code = "busy"
    detail = "Too many sign-ins are waiting: try again shortly."

    def __init__(self, *, retry_after: int) -> None:
        super().__init__()
        self.retry_after = retry_after


class PasswordCheckUnavailable(LimenError):
    """The list of leaked passwords did not answer, and the operator wants no other ones."""

    code = "password_check_unavailable"
    detail = "New passwords cannot be checked just now: try again shortly."


class ClaimsUnavailable(LimenError):
    """The application's function for custom claims failed; its log says how."""

    code = "claims_unavailable"
    detail = "What the token should say cannot be found out just now: try again shortly."


class DatabaseUnavailable(LimenError):
    code = "database_unavailable"
    detail = "The database cannot be reached just now: try again shortly."


class SchemaOutdated(LimenError):
    """The database's schema is not the one that this version needs."""

    code = "schema_outdated"

    def __init__(self, current: str | None, needed: str) -> None:
        found = "has no tables yet" if current is None else f"has the schema {current}"
        super().__init__(f"The database {found}, and {needed} is needed: run 'limen migrate'.")


class ConfigurationError(LimenError):
    """limen cannot start like this. The message names the variable, the mistake and a fix."""

    code = "configuration"

    def __init__(self, variable: str, problem: str, works: str) -> None:
        self.variable = variable
        super().__init__(f"{variable}: {problem}; for example {works}")
