"""Any sequence of what happens to accounts, over HTTP, against a model in plain Python.

People register, verify, sign in, forget, reset, change their passwords and addresses, end sessions
and leave; strangers try what is not theirs; operators disable and require resets; time passes and
limen restarts. Each answer is the one that the model foretold (`account_model.py`), and so are the
mails. After each step

    the password that is stored is the model's: nothing but the current one, or a living code of
    this account and of this purpose, used once, has changed it
    the newest codes are alive if the model says so
    an access token is good if the model says so, of all that were ever handed out
    an account has the address, and is verified, disabled or locked, as the model has it
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from limen.database.schema import accounts
from limen.lock import KNOWN_DEVICES, STRANGERS
from limen.verify.errors import InvalidToken
from tests.people import has_failed
from tests.stateful.account_model import ACCESS, IDLE, INVALID_TOKEN, LIFETIMES
from tests.stateful.account_state import Account, Purpose, Typed
from tests.stateful.account_steps import ADDRESSES, AccountSteps, Asked, Pick
from tests.stateful.machine import RUNS, on_both
from tests.stored import rows

NEWEST = 4  # codes that are looked at after each step
CALLS = {
    "look": ("GET", "me"),
    "change password": ("POST", "password/change", "current_password", "new_password"),
    "end others": ("DELETE", "sessions"),
    "leave": ("DELETE", "me", "current_password"),
}
CONFIRM = {"verify": "email/verify/confirm", "email_change": "email/change/confirm"}


class AccountLife(AccountSteps):
    """What may happen next, and what is always so."""

    def __init__(self) -> None:
        super().__init__()
        self.checked: dict[str, tuple[str, str]] = {}

    email = st.sampled_from(ADDRESSES)
    which = st.integers(0, 3)
    pick = st.sampled_from(["alive", "alive", "dead", "too late", "of another purpose"])
    typed = st.sampled_from(["token", "token", "digits", "wrong digits"])
    password = st.sampled_from(["right", "right", "right", "old", "wrong"])
    purpose = st.sampled_from(sorted(CONFIRM))
    is_own = st.sampled_from([True, True, False])
    is_known = st.booleans()

    @initialize()
    def two_people_register_and_sign_in(self) -> None:
        for email in ADDRESSES[:2]:
            self.ask("register", email)
            self.sign_in(email, self.model.all[-1].password)

    @rule(what=st.sampled_from(["register", "verify", "forgot"]), email=email)
    def somebody_types_an_address(self, what: Asked, email: str) -> None:
        self.ask(what, email)

    @rule(email=email, password=password, is_known=is_known)
    def somebody_signs_in(self, email: str, password: str, *, is_known: bool) -> None:
        typed = self.typed_password(self.model.at(email), password)
        self.sign_in(email, typed, self.device(email, is_known=is_known))

    @rule(which=which, typed=st.sampled_from(["token", "digits"]))
    def whoever_reads_the_mail_resets(self, which: int, typed: Typed) -> None:
        code = self.code("alive", which, "reset")
        self.reset(code, typed, None if typed == "token" else code.to)

    @rule(pick=pick, which=which, typed=typed, named=st.none() | email)
    def somebody_tries_to_reset(
        self, pick: Pick, which: int, typed: Typed, named: str | None
    ) -> None:
        """With a code that may be dead, of something else, mistyped, or of another account."""
        code = self.code(pick, which, "reset")
        self.reset(code, typed, code.to if named is None and typed != "token" else named)

    @rule(which=which, current=password, is_known=is_known)
    def change_password(self, which: int, current: str, *, is_known: bool) -> None:
        by, new = self.session(which), self.new_password()
        device = self.device(by.account.email, is_known=is_known)
        typed = self.typed_password(by.account, current)
        foretold = self.model.change_password(by, typed, new, is_known=device is not None)
        body = {"current_password": typed, "new_password": new}
        self.expect(foretold, "POST", "password/change", body, by=by, device=device)

    @rule(which=which, current=password, email=email)
    def ask_for_another_address(self, which: int, current: str, email: str) -> None:
        by = self.session(which)
        self.ask_for(by, email, self.typed_password(by.account, current))

    @rule(which=which)
    def ask_for_another_code(self, which: int) -> None:
        by = self.session(which)
        self.expect(self.model.send_again(by), "POST", "email/verify", by=by)

    @rule(purpose=purpose, pick=pick, which=which, typed=typed, is_own=is_own)
    def confirm_from_a_session(
        self, purpose: Purpose, pick: Pick, which: int, typed: Typed, *, is_own: bool
    ) -> None:
        code = self.code(pick, which, purpose)
        by = self.session(which, of=code.account if is_own else None)
        foretold = self.model.confirm_by_session(purpose, code, typed, by)
        self.expect(foretold, "POST", CONFIRM[purpose], {"code": code.form(typed)}, by=by)

    @rule(
        purpose=purpose,
        pick=pick,
        which=which,
        typed=typed,
        password=password,
        is_own=is_own,
        email=email,
    )
    def confirm_with_a_password(
        self,
        purpose: Purpose,
        pick: Pick,
        which: int,
        typed: Typed,
        password: str,
        *,
        is_own: bool,
        email: str,
    ) -> None:
        """With the password of whose code it is, or of whose address is named beside it."""
        code = self.code(pick, which, purpose)
        own = None if typed == "token" else code.account.email
        named = own if is_own else email
        account = self.model.at(named) if named else code.account
        body = {"code": code.form(typed), "password": self.typed_password(account, password)}
        foretold = self.model.confirm_by_password(purpose, code, typed, named, body["password"])
        body |= {"email": named} if named else {}
        self.expect(foretold, "POST", CONFIRM[purpose], body)

    @rule(
        which=which, other=which, act=st.sampled_from(["refresh", "end", "end others", "log out"])
    )
    def somebody_uses_a_session(self, which: int, other: int, act: str) -> None:
        by = self.session(which)
        self.look(by)
        match act:
            case "refresh":
                self.refresh(by)
            case "end":
                ended = self.session(other)
                path = f"sessions/{ended.sid}"
                self.expect(self.model.end(by, ended), "DELETE", path, by=by)
            case "end others":
                self.expect(self.model.end_others(by), "DELETE", "sessions", by=by)
            case _:
                self.expect(self.model.log_out(by), "POST", "logout", by=by)

    @rule(which=which, act=st.sampled_from(["refresh", *CALLS]))
    def somebody_uses_a_void_session(self, which: int, act: str) -> None:
        by = self.void_session(which)
        if act == "refresh":
            self.refresh(by)
        elif not self.model.may_call(by):
            current, new = by.account.password, self.new_password()
            passwords = {"current_password": current, "new_password": new}
            method, path, *members = CALLS[act]
            body = {member: passwords[member] for member in members}
            self.expect(INVALID_TOKEN, method, path, body or None, by=by)

    @rule(which=which, current=password)
    def leave(self, which: int, current: str) -> None:
        by = self.session(which)
        body = {"current_password": self.typed_password(by.account, current)}
        foretold = self.model.delete(by, body["current_password"], is_known=False)
        self.expect(foretold, "DELETE", "me", body, by=by)

    @rule(email=email, act=st.sampled_from(["disable", "enable", "require reset"]))
    def an_operator_acts(self, email: str, act: str) -> None:
        if (account := self.model.at(email)) is None:
            return
        features = self.limen.features.accounts
        match act:
            case "disable":
                self.model.disable(account)
                self.run(features.disable(account.user_id))
            case "enable":
                self.model.enable(account)
                self.run(features.enable(account.user_id))
            case _:
                self.model.require_reset(account)
                self.run(features.require_reset(account.user_id))
        self.post_arrives()

    @rule(email=email, failures=st.sampled_from([STRANGERS - 1, STRANGERS, KNOWN_DEVICES]))
    def somebody_has_guessed(self, email: str, failures: int) -> None:
        if (account := self.model.at(email)) is not None:
            account.failures = failures
            self.run(has_failed(self.limen, account.user_id, failures))

    @rule(seconds=st.sampled_from([60, ACCESS, *LIFETIMES.values(), IDLE]))
    def time_passes(self, seconds: int) -> None:
        self.clock.tick(seconds)

    @invariant()
    def accounts_are_stored_as_the_model_has_them(self) -> None:
        stored = {row.user_id: row for row in self.run(rows(self.limen, accounts))}
        assert set(stored) == {account.user_id for account in self.model.living}
        for account in self.model.living:
            row = stored[account.user_id]
            assert row.email == account.email
            assert (row.verified_at is not None) == account.is_verified
            assert (row.disabled_at is None) == account.is_enabled
            assert (row.reset_required_at is not None) == account.needs_reset
            assert row.failures == account.failures
            self.check_password(account, row.password_hash)

    @invariant()
    def the_newest_codes_are_alive_as_the_model_says(self) -> None:
        for code in self.model.codes[-NEWEST:]:
            owner = self.run(self.limen.features.codes.owner(code.purpose, code.form("token")))
            assert owner == (code.account.user_id if self.model.is_alive(code) else None)

    @invariant()
    def access_tokens_are_good_as_the_model_says(self) -> None:
        for session in self.model.sessions:
            for access in session.access:
                assert self.is_good(access.token) == self.model.is_good(session, access)

    def check_password(self, account: Account, stored: str) -> None:
        """See that what is stored is the hash of the password; one that was seen is so."""
        if self.checked.get(account.user_id) != (stored, account.password):
            verdict = self.run(self.limen.features.passwords.verify(account.password, stored))
            assert verdict.matches
            self.checked[account.user_id] = (stored, account.password)

    def is_good(self, token: str) -> bool:
        try:
            self.limen.verifier.check(token)
        except InvalidToken:
            return False
        return True


TestOnSQLite, TestOnPostgreSQL = on_both(AccountLife, settings(RUNS, max_examples=10))
