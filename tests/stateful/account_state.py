"""What the model remembers of an account: its passwords, its sessions and its codes."""

from dataclasses import dataclass, field
from typing import Literal

from limen.lock import STRANGERS
from limen.mail import Message
from tests.mailbox import Mailed
from tests.test_codes import wrong

Purpose = Literal["verify", "reset", "email_change"]
Typed = Literal["token", "digits", "wrong digits"]


@dataclass(eq=False)
class Access:
    """An access token that was handed out."""

    token: str
    expires_at: int
    is_void: bool = False


@dataclass(eq=False)
class Session:
    """A session; `access` are its access tokens, `refresh` is its newest refresh token."""

    account: "Account"
    sid: str = ""
    refresh: str = ""
    refreshed_at: int = 0
    access: list[Access] = field(default_factory=list)
    has_ended: bool = False


@dataclass(eq=False)
class Code:
    """A code that was sent; `mail` has come when the step is over."""

    account: "Account"
    purpose: Purpose
    to: str
    expires_at: int
    tries: int = 0
    mail: Mailed | None = None

    @property
    def is_current(self) -> bool:
        return self.account.codes.get(self.purpose) is self

    def form(self, typed: Typed) -> str:
        """What somebody types who has read the mail, and perhaps mistypes it."""
        assert self.mail is not None
        if typed == "token":
            return self.mail.token
        return self.mail.digits if typed == "digits" else wrong(self.mail.digits)


@dataclass(eq=False)
class Account:
    """An account; `passwords` are all that it ever had, the last is the one that it has."""

    email: str
    passwords: list[str]
    user_id: str = ""
    is_verified: bool = False
    is_enabled: bool = True
    is_deleted: bool = False
    needs_reset: bool = False
    failures: int = 0
    codes: dict[Purpose, Code] = field(default_factory=dict)
    sessions: list[Session] = field(default_factory=list)

    @property
    def password(self) -> str:
        return self.passwords[-1]

    @property
    def lets_in(self) -> bool:
        """Whether the right password would do for a stranger."""
        is_open = self.failures < STRANGERS and not self.needs_reset
        return self.is_enabled and not self.is_deleted and is_open

    def void(self, keep: Session | None = None) -> None:
        self.codes.clear()
        for session in self.sessions:
            session.has_ended |= session is not keep
            for access in session.access:
                access.is_void = True

    def renew(self, password: str) -> None:
        self.passwords.append(password)
        self.failures, self.needs_reset = 0, False


@dataclass(frozen=True)
class Post:
    """A mail that must arrive, with this code or with none."""

    message: Message
    to: str
    account: Account
    code: Code | None = None
