"""The life of accounts in plain Python: what each step is answered, and what is so afterwards.

    password       changes by the current one, or by a living code of the purpose "reset", alone
    code           lives until it is used, a newer one of its purpose and account is sent, the
                   account is voided, or its lifetime is over; its digits die by five tries, too
    access token   is good until it expires, its session ends, or its account is voided
    voiding        ends the account's sessions, but for one that may go on by refreshing

A method is what somebody does. It returns the status and the code of the answer, and writes down
which mails must arrive.
"""

from limen.clock import SECOND
from limen.codes import MAX_TRIES
from limen.lock import KNOWN_DEVICES, STRANGERS
from limen.mail import Message
from tests.clock import ManualClock
from tests.stateful.account_state import Access, Account, Code, Post, Purpose, Session, Typed

Answer = tuple[int, str]

ACCESS, IDLE = 1800, 7 * 86400
LIFETIMES: dict[Purpose, int] = {"verify": 7200, "reset": 3600, "email_change": 7200}

OK: Answer = (200, "")
ACCEPTED: Answer = (202, "")
DONE: Answer = (204, "")
INVALID_CODE: Answer = (400, "invalid_code")
INVALID_CREDENTIALS: Answer = (401, "invalid_credentials")
INVALID_REFRESH_TOKEN: Answer = (401, "invalid_refresh_token")
INVALID_TOKEN: Answer = (401, "invalid_token")
MISSING_TOKEN: Answer = (401, "missing_token")
WRONG_PASSWORD: Answer = (403, "wrong_password")
SESSION_NOT_FOUND: Answer = (404, "session_not_found")


class Accounts:
    """All accounts that there are and were."""

    def __init__(self, clock: ManualClock) -> None:
        self.all: list[Account] = []
        self.codes: list[Code] = []
        self.posted: list[Post] = []
        self._clock = clock

    @property
    def now(self) -> int:
        return self._clock() // SECOND

    @property
    def living(self) -> list[Account]:
        return [account for account in self.all if not account.is_deleted]

    @property
    def sessions(self) -> list[Session]:
        return [session for account in self.all for session in account.sessions]

    def at(self, email: str) -> Account | None:
        return next((one for one in self.living if one.email == email), None)

    def is_good(self, session: Session, access: Access) -> bool:
        return not session.has_ended and not access.is_void and access.expires_at > self.now

    def may_call(self, session: Session) -> bool:
        """Whether the newest access token of a session is good."""
        return self.is_good(session, session.access[-1])

    def goes_on(self, session: Session) -> bool:
        """Whether a session can be refreshed."""
        return not session.has_ended and session.refreshed_at + IDLE > self.now

    def is_alive(self, code: Code) -> bool:
        return code.is_current and code.expires_at > self.now

    # What anybody may ask for an address

    def register(self, email: str, password: str) -> Answer:
        account = self.at(email)
        if account is None:
            account = Account(email, [password])
            self.all.append(account)
            self._send("verify", "verify", account, email)
        elif account.is_enabled and (account.is_verified or account.needs_reset):
            self._notify("already_there", account)
        else:
            self._send_if_needed(account)
        return ACCEPTED

    def verify(self, email: str) -> Answer:
        if (account := self.at(email)) is not None:
            self._send_if_needed(account)
        return ACCEPTED

    def forgot(self, email: str) -> Answer:
        self._send_reset("reset", self.at(email))
        return ACCEPTED

    # Passwords

    def sign_in(self, email: str, password: str, *, is_known: bool) -> Answer:
        found = self._check(self.at(email), password, is_known=is_known)
        return OK if found else INVALID_CREDENTIALS

    def change_password(self, by: Session, current: str, new: str, *, is_known: bool) -> Answer:
        refused = self._refused(by, current, is_known=is_known)
        if refused is None:
            by.account.renew(new)
            by.account.void(keep=by)
            self._notify("password_changed", by.account)
        return refused or DONE

    def reset(self, code: Code, typed: Typed, named: str | None, new: str) -> Answer:
        of = None if named is None else self.at(named)
        redeemed = self._redeemed("reset", code, typed, of, is_named=named is not None)
        if redeemed is None:
            return INVALID_CODE
        account = redeemed.account
        account.renew(new)
        account.is_verified = True
        account.void()
        self._notify("password_changed", account)
        return DONE

    def delete(self, by: Session, current: str, *, is_known: bool) -> Answer:
        refused = self._refused(by, current, is_known=is_known)
        if refused is None:
            by.account.is_deleted = True
            by.account.void()
        return refused or DONE

    # Addresses

    def send_again(self, by: Session) -> Answer:
        if not self.may_call(by):
            return INVALID_TOKEN
        self._send_if_needed(by.account)
        return ACCEPTED

    def ask_for(self, by: Session, email: str, current: str, *, is_known: bool) -> Answer:
        refused = self._refused(by, current, is_known=is_known)
        if refused is not None:
            return refused
        owner = self.at(email)
        if owner in (None, by.account):
            self._send("email_change", "email_change", by.account, email)
        elif owner.is_enabled:
            self._notify("already_there", owner)
        return ACCEPTED

    def confirm_by_session(self, purpose: Purpose, code: Code, typed: Typed, by: Session) -> Answer:
        if not self.may_call(by):
            return INVALID_TOKEN
        return self._confirm(purpose, code, typed, by.account, by)

    def confirm_by_password(
        self, purpose: Purpose, code: Code, typed: Typed, named: str | None, password: str
    ) -> Answer:
        if named is None and not (code.purpose == purpose and self.is_alive(code)):
            return INVALID_CODE  # the link of nobody
        account = code.account if named is None else self.at(named)
        if not self._check(account, password, is_known=False):
            return INVALID_CREDENTIALS
        return self._confirm(purpose, code, typed, account, None)

    # Sessions

    def refresh(self, session: Session) -> Answer:
        return OK if self.goes_on(session) else INVALID_REFRESH_TOKEN

    def handed_out(self, session: Session, access: str, refresh: str) -> None:
        session.access.append(Access(access, self.now + ACCESS))
        session.refresh, session.refreshed_at = refresh, self.now

    def look(self, by: Session) -> Answer:
        return OK if self.may_call(by) else INVALID_TOKEN

    def log_out(self, session: Session) -> Answer:
        session.has_ended = True
        return DONE

    def end(self, by: Session, other: Session) -> Answer:
        if not self.may_call(by):
            return INVALID_TOKEN
        if other.account is not by.account:
            return SESSION_NOT_FOUND
        return self.log_out(other)

    def end_others(self, by: Session) -> Answer:
        if not self.may_call(by):
            return INVALID_TOKEN
        by.account.void(keep=by)
        return DONE

    # Operators

    def disable(self, account: Account) -> None:
        account.is_enabled = False
        account.void()

    def enable(self, account: Account) -> None:
        account.is_enabled = True

    def require_reset(self, account: Account) -> None:
        account.needs_reset = True
        account.void()
        self._send_reset("reset_required", account)

    def _refused(self, by: Session, password: str, *, is_known: bool) -> Answer | None:
        """How somebody is refused what needs a session and the current password."""
        if not self.may_call(by):
            return INVALID_TOKEN
        right = self._check(by.account, password, is_known=is_known)
        return None if right else WRONG_PASSWORD

    def _check(self, account: Account | None, password: str, *, is_known: bool) -> bool:
        if account is None or not account.is_enabled or account.needs_reset:
            return False
        if account.failures >= (KNOWN_DEVICES if is_known else STRANGERS):
            return False
        if password == account.password:
            account.failures = 0
            return True
        account.failures += 1
        if account.failures == STRANGERS:
            self._send_reset("locked", account)
        return False

    def _redeemed(
        self, purpose: Purpose, code: Code, typed: Typed, of: Account | None, *, is_named: bool
    ) -> Code | None:
        """Count a try, and use the code up if it is good for this purpose of this account."""
        if typed != "token":
            sent = of and of.codes.get(purpose)
            if not sent or sent.tries == MAX_TRIES:
                return None
            sent.tries += 1
        if code.purpose != purpose or not self.is_alive(code) or typed == "wrong digits":
            return None
        if is_named and code.account is not of:
            return None
        if purpose == "email_change" and self.at(code.to) not in (None, code.account):
            return None  # the address was taken meanwhile; the code is not used up
        del code.account.codes[purpose]
        return code

    def _confirm(
        self,
        purpose: Purpose,
        code: Code,
        typed: Typed,
        account: Account | None,
        by: Session | None,
    ) -> Answer:
        redeemed = self._redeemed(purpose, code, typed, account, is_named=True)
        if redeemed is None:
            return INVALID_CODE
        redeemed.account.is_verified = True
        if purpose == "email_change":
            self._notify("email_changed", redeemed.account)
            redeemed.account.email = redeemed.to
            redeemed.account.void(keep=by)
        return DONE

    def _send_if_needed(self, account: Account) -> None:
        if account.is_enabled and not account.is_verified and not account.needs_reset:
            self._send("verify", "verify", account, account.email)

    def _send_reset(self, message: Message, account: Account | None) -> None:
        if account is not None and account.is_enabled:
            self._send(message, "reset", account, account.email)

    def _send(self, message: Message, purpose: Purpose, account: Account, to: str) -> None:
        code = Code(account, purpose, to, self.now + LIFETIMES[purpose])
        account.codes[purpose] = code
        self.codes.append(code)
        self.posted.append(Post(message, to, account, code))

    def _notify(self, message: Message, account: Account) -> None:
        self.posted.append(Post(message, account.email, account))
