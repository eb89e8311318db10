"""What goes over the wire: the bodies of requests and answers, as the OpenAPI document shows them.

Unknown members are refused: a mistyped one is a mistake, not a wish. Lengths are bounded here only
against abuse; what an e-mail address or a password must be, their own modules say.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from limen.clock import SECOND
from limen.own_sessions import OwnSession
from limen.tokens import TokenPair
from limen.verify.gate import MAX_TOKEN_BYTES

# Passwords may hold anything but NUL: a tab in one is a tab.
EmailText = Annotated[str, Field(max_length=320, pattern=r"^[^\x00-\x1f\x7f]*$")]
PasswordText = Annotated[
    str,
    Field(max_length=256, pattern=r"^[^\x00]*$", json_schema_extra={"format": "password"}),
]
# The token of a link (22 characters) or six digits: which of them, limen.mailed_codes finds out.
CodeText = Annotated[str, Field(min_length=6, max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")]
TokenText = Annotated[str, Field(min_length=1, max_length=MAX_TOKEN_BYTES)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class Credentials(Body):
    email: EmailText
    password: PasswordText


class Registering(Credentials):
    """`invitation` is the code of one, where registering needs it."""

    invitation: CodeText | None = None


class EmailBody(Body):
    email: EmailText


class ConfirmBody(Body):
    """A code, and beside it the password; or an access token, and no password.

    Six digits that come with a password need the `email` with which one signs in.
    """

    code: CodeText
    password: PasswordText | None = None
    email: EmailText | None = None


class NewEmailBody(Body):
    email: EmailText
    current_password: PasswordText


class ResetBody(Body):
    """A code from a mail, and the new password. Six digits need the `email` of the account, too."""

    code: CodeText
    password: PasswordText
    email: EmailText | None = None


class NewPasswordBody(Body):
    current_password: PasswordText
    new_password: PasswordText


class CurrentPasswordBody(Body):
    current_password: PasswordText


class PasswordGrant(Body):
    """The form of an OAuth 2.0 password grant (RFC 6749, section 4.3.2); the first two count."""

    username: EmailText
    password: PasswordText
    grant_type: str = ""
    scope: str = ""
    client_id: str = ""
    client_secret: str = ""


class RefreshBody(Body):
    refresh_token: TokenText


class LogoutBody(Body):
    refresh_token: TokenText | None = None


class TokenForm(Body):
    """What RFC 7662 and RFC 7009 ask about a token; what else a client sends is not looked at.

    Both kinds of token say themselves which they are, so the hint is not needed.
    """

    model_config = ConfigDict(extra="ignore")

    token: str = Field(min_length=1)
    token_type_hint: str = ""


class TokensReply(BaseModel):
    """RFC 6749, section 5.1. Lifetimes are in seconds."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  the name of a scheme
    expires_in: int
    refresh_token: str
    refresh_expires_in: int

    @classmethod
    def of(cls, tokens: TokenPair) -> "TokensReply":
        return cls(
            access_token=tokens.access_token,
            expires_in=tokens.expires_in,
            refresh_token=tokens.refresh_token,
            refresh_expires_in=tokens.refresh_expires_in,
        )


class AcceptedReply(BaseModel):
    """The same for every address: whether it has an account is told by mail, to its owner alone."""

    status: Literal["accepted"] = "accepted"
    detail: str = "If there is something to send, a mail is on its way to this address."


class AccountReply(BaseModel):
    user_id: str
    email: str


class MeReply(AccountReply):
    """`sid` is this session; `scope` is what this token may do; `created_at` is in RFC 3339."""

    sid: str
    scope: str
    created_at: str
    email_verified: bool


class SessionReply(BaseModel):
    """`device` is what the client called itself, `address` where it signed in; times in RFC 3339.

    `expires_at` is when the session ends if it is not refreshed before.
    """

    sid: str
    device: str | None
    address: str | None
    first_seen: str
    last_seen: str
    expires_at: str
    current: bool

    @classmethod
    def of(cls, session: OwnSession) -> "SessionReply":
        return cls(
            sid=session.sid,
            device=session.device,
            address=session.address,
            first_seen=moment(session.first_seen),
            last_seen=moment(session.last_seen),
            expires_at=moment(session.expires_at),
            current=session.is_current,
        )


class SessionsReply(BaseModel):
    """Those that go on: this one, then the last seen first. `complete` is false past a hundred."""

    sessions: list[SessionReply]
    complete: bool


class RevocationEntry(BaseModel):
    """`subject` is a digest, `value` the lowest `cv` still good; `expires_at` is like `exp`."""

    seq: int
    kind: Literal["session", "account", "keys"]
    subject: str
    value: int
    expires_at: int


class RevocationsReply(BaseModel):
    """Ask for what comes `after` this `seq`, with this `mark`; at once if it is not `complete`.

    `age` is how many seconds old this knowledge is, `waited` how many the question has waited.
    """

    entries: list[RevocationEntry]
    seq: int
    mark: str
    complete: bool
    age: float
    waited: float


class ReadyReply(BaseModel):
    """`checks` tells of each part "ok", or in a few words what is wrong."""

    status: Literal["ready"] = "ready"
    checks: dict[str, str]


class ProblemReply(BaseModel):
    """RFC 9457. `code` is stable; `detail` is for people. Some problems have further members."""

    type: str
    title: str
    status: int
    detail: str
    code: str


def moment(microseconds: int) -> str:
    """Return a time as bodies have it: RFC 3339, in UTC, to the second."""
    at = datetime.fromtimestamp(microseconds // SECOND, UTC)
    return at.isoformat().replace("+00:00", "Z")
