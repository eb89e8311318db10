"""Single steps in the life of accounts: each is done to the model, then to limen over HTTP.

The answer must be the one that the model foretold, and so must the mails. Who acts and with which
code is picked here: mostly something that may succeed, which is brought about if there is none.
"""

from typing import Any, Literal

import httpx2

from limen.api.bodies import AcceptedReply
from tests.mailbox import MAIL_FROM, SMTP_URL, taken_out
from tests.people import AUTH
from tests.stateful.account_model import ACCEPTED, DONE, LIFETIMES, OK, Accounts, Answer
from tests.stateful.account_state import Account, Code, Purpose, Session, Typed
from tests.stateful.machine import Machine

ADDRESSES = [f"{name}@example.com" for name in ("ada", "bob", "eve")]

Pick = Literal["alive", "dead", "too late", "of another purpose"]
Asked = Literal["register", "verify", "forgot"]


class AccountSteps(Machine):
    """A few people and mailboxes, and limits that nobody reaches."""

    options = {  # noqa: RUF012  overrides what is a ClassVar there
        "smtp_url": SMTP_URL,
        "mail_from": MAIL_FROM,
        "reset_code_lifetime": LIFETIMES["reset"],
        "verify_code_lifetime": LIFETIMES["verify"],
        **dict.fromkeys(("login_limit", "mail_limit", "code_limit"), "100 per 1m"),
        **dict.fromkeys(("login_address_limit", "mail_address_limit"), "1000 per 1m"),
    }

    def __init__(self) -> None:
        super().__init__()
        self.model = Accounts(self.clock)
        self.devices: dict[str, str] = {}
        self.passwords = 0

    def ask(self, what: Asked, email: str) -> None:
        """Ask what anybody may ask for an address."""
        body = {"email": email}
        match what:
            case "register":
                body["password"] = self.new_password()
                self.expect(self.model.register(email, body["password"]), "POST", what, body)
            case "verify":
                self.expect(self.model.verify(email), "POST", "email/verify", body)
            case "forgot":
                self.expect(self.model.forgot(email), "POST", "password/forgot", body)

    def sign_in(self, email: str, password: str, device: str | None = None) -> None:
        body = {"email": email, "password": password}
        foretold = self.model.sign_in(email, password, is_known=device is not None)
        answer = self.expect(foretold, "POST", "login", body, device=device)
        account = self.model.at(email)
        if foretold == OK and account is not None:
            account.sessions.append(Session(account))
            self.handed_out(account.sessions[-1], answer)
            assert ("limen-device" in answer.headers) == (device is None)
            self.devices[email] = device or answer.headers["limen-device"]

    def refresh(self, session: Session) -> None:
        foretold, body = self.model.refresh(session), {"refresh_token": session.refresh}
        answer = self.expect(foretold, "POST", "refresh", body)
        if foretold == OK:
            self.handed_out(session, answer)

    def reset(self, code: Code, typed: Typed, named: str | None) -> None:
        """Choose another password with a code; digits need an address beside them."""
        new = self.new_password()
        body = {"code": code.form(typed), "password": new} | ({"email": named} if named else {})
        foretold = self.model.reset(code, typed, named, new)
        answer = self.expect(foretold, "POST", "password/reset", body)
        if foretold == DONE:
            self.devices[code.to] = answer.headers["limen-device"]

    def ask_for(self, by: Session, email: str, password: str) -> None:
        """Ask to have another address."""
        body = {"email": email, "current_password": password}
        foretold = self.model.ask_for(by, email, password, is_known=False)
        self.expect(foretold, "POST", "email/change", body, by=by)

    def look(self, by: Session) -> None:
        """Ask who one is, and where one is signed in."""
        foretold, account = self.model.look(by), by.account
        me = self.expect(foretold, "GET", "me", by=by).json()
        found = self.expect(foretold, "GET", "sessions", by=by).json()
        if foretold == OK:
            assert (me["user_id"], me["sid"]) == (account.user_id, by.sid)
            assert (me["email"], me["email_verified"]) == (account.email, account.is_verified)
            listed = {one["sid"] for one in found["sessions"]}
            assert listed == {one.sid for one in account.sessions if self.model.goes_on(one)}

    def expect(
        self,
        foretold: Answer,
        method: str,
        path: str,
        body: dict[str, str] | None = None,
        *,
        by: Session | None = None,
        device: str | None = None,
    ) -> httpx2.Response:
        """Do what the model has done, and see that the answer and the mails are as foretold."""
        self.http.cookies.clear()  # a device is known if the step says so
        headers = {"Authorization": f"Bearer {by.access[-1].token}"} if by else {}
        headers |= {"Limen-Device": device} if device else {}
        url = f"{AUTH}/{path}"
        answer = self.run(self.http.request(method, url, json=body, headers=headers))
        said: dict[str, Any] = answer.json() if answer.content else {}
        assert (answer.status_code, said.get("code", "")) == foretold
        assert foretold != ACCEPTED or said == AcceptedReply().model_dump()
        if method != "GET":
            self.post_arrives()
        return answer

    def post_arrives(self) -> None:
        """Read the mails of this step: those that the model foretold, and no others."""
        arrived = sorted(self.run(taken_out(self.limen)), key=lambda mail: mail.to)
        posted = sorted(self.model.posted, key=lambda post: post.to)
        foretold = [(post.message, post.to) for post in posted]
        assert [(mail.message, mail.to) for mail in arrived] == foretold
        for mail, post in zip(arrived, posted, strict=True):
            post.account.user_id = post.account.user_id or str(mail.user_id)
            assert mail.user_id == post.account.user_id
            assert (mail.code is None) == (post.code is None)
            if post.code:
                post.code.mail = mail
        self.model.posted.clear()

    def handed_out(self, session: Session, answer: httpx2.Response) -> None:
        pair = answer.json()
        self.model.handed_out(session, pair["access_token"], pair["refresh_token"])
        claims = self.limen.verifier.check(pair["access_token"])
        session.sid = session.sid or claims.sid
        assert (claims.sid, claims.user_id) == (session.sid, session.account.user_id)
        assert claims.email_verified == session.account.is_verified

    def session(self, which: int, of: Account | None = None) -> Session:
        """Pick a session that may call, and have somebody sign in if there is none."""
        wanted = [one for one in self.model.sessions if of in (None, one.account)]
        may_call = [one for one in wanted if self.model.may_call(one)]
        can = [one for one in self.model.living if one.lets_in and of in (None, one)]
        if not may_call and can:
            account = can[which % len(can)]
            self.sign_in(account.email, account.password)
            return account.sessions[-1]
        found = may_call or wanted or self.model.sessions
        return found[-1 - which % len(found)]

    def void_session(self, which: int) -> Session:
        """Pick a session whose access token is void, if there is one."""
        void = [one for one in self.model.sessions if not self.model.may_call(one)]
        return void[-1 - which % len(void)] if void else self.session(which)

    def code(self, pick: Pick, which: int, purpose: Purpose) -> Code:
        """Pick a code, the newest first; have one sent if none is alive, or wait if it must not."""
        if pick == "too late":
            code = self.code("alive", which, purpose)
            self.clock.tick(LIFETIMES[purpose])
            return code
        if pick == "alive" and not self.picked(pick, purpose):
            self.have_one_sent(which, purpose)
        found = self.picked(pick, purpose) or self.model.codes
        return found[-1 - which % len(found)]

    def picked(self, pick: Pick, purpose: Purpose) -> list[Code]:
        is_alive, codes = self.model.is_alive, self.model.codes
        if pick == "of another purpose":
            return [one for one in codes if one.purpose != purpose and is_alive(one)]
        own = (one for one in codes if one.purpose == purpose)
        return [one for one in own if is_alive(one) == (pick == "alive")]

    def have_one_sent(self, which: int, purpose: Purpose) -> None:
        email = ADDRESSES[which % len(ADDRESSES)]
        match purpose:
            case "reset":
                self.ask("forgot", email)
            case "verify":
                self.ask("register", email)
            case "email_change":
                by = self.session(which)
                self.ask_for(by, email, by.account.password)

    def new_password(self) -> str:
        self.passwords += 1
        return f"correct horse battery number {self.passwords}"

    def typed_password(self, account: Account | None, which: str) -> str:
        if account is None or which == "wrong" or (which == "old" and len(account.passwords) == 1):
            return "not the password"
        return account.passwords[-1 if which == "right" else -2]

    def device(self, email: str, *, is_known: bool) -> str | None:
        return self.devices.get(email) if is_known else None
