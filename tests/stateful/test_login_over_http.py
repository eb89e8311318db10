"""Any sequence of what people and operators do, over HTTP, against a model in plain Python.

The model knows of each session how often it was rotated, with which key and when; of each account
its password and whether it is disabled. After every step each access token that was ever handed
out must be good or refused as the model says, and rows must be sessions. Hypothesis chooses the
steps, and on a failure prints them and how to repeat them.
"""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from limen.clock import SECOND
from limen.database.schema import sessions
from limen.refresh import Outcome
from tests.people import Person, somebody
from tests.rotation_model import Row, decide
from tests.stateful.machine import Machine, on_both
from tests.stored import rows

WINDOW = 60
ACCESS, IDLE = 1800, 7 * 86400
KEYS = [None, "retry-key-number-1", "retry-key-number-2"]
HANDED_OUT = {Outcome.ROTATE, Outcome.COALESCE, Outcome.SAME_SUCCESSOR, Outcome.FAST_FORWARD}


@dataclass
class Session:
    """What the model knows of a session; `tokens[k]` is the refresh token of generation k."""

    row: Row
    handed_at: int
    tokens: list[str]
    expires_at: list[int]
    access: list[tuple[str, int]]


@dataclass
class Account:
    person: Person
    enabled: bool = True
    sessions: list[Session] = field(default_factory=list)

    def void(self) -> None:
        for session in self.sessions:
            session.row = session.row._replace(ended=True)


class LoginOverHttp(Machine):
    """Two people, one limen, which may be restarted."""

    def __init__(self) -> None:
        self.accounts: list[Account] = []
        super().__init__()

    async def start(self) -> None:
        await super().start()
        for account in self.accounts:
            account.person.http = self.http

    @initialize()
    def two_people_sign_in(self) -> None:
        for email in ("ada@example.com", "eve@example.com"):
            person = self.run(somebody(self.limen, self.http, email))
            self.accounts.append(Account(person))
            self.started(self.accounts[-1])

    who = st.integers(0, 1)
    which = st.integers(0, 1)
    wait = st.sampled_from([0, 1, WINDOW - 1, WINDOW])
    key = st.sampled_from(KEYS)

    @rule(who=who)
    def sign_in(self, who: int) -> None:
        account = self.accounts[who]
        status = self.run(account.person.sign_in()).status_code
        assert status == (200 if account.enabled else 401)
        if status == 200:
            self.started(account)
        else:
            self.clock.tick(900)  # the limit of failures is another test's subject

    @rule(who=who, which=which, wait=wait, key=key)
    def refresh(self, who: int, which: int, wait: int, key: str | None) -> None:
        session = self.pick(who, which)
        self.present(who, session, len(session.tokens) - 1, key, after=wait)

    @rule(who=who, which=which, wait=wait)
    def retry_after_a_lost_answer(self, who: int, which: int, wait: int) -> None:
        session = self.pick(who, which)
        k = max(0, session.row.gen - 1)
        self.present(who, session, k, session.row.retry_key, after=wait)

    @rule(who=who, which=which, wait=wait, back=st.integers(1, 3), key=key)
    def replay(self, who: int, which: int, wait: int, back: int, key: str | None) -> None:
        session = self.pick(who, which)
        self.present(who, session, max(0, session.row.gen - back), key, after=wait)

    @rule(who=who, which=which, by_refresh_token=st.booleans())
    def log_out(self, who: int, which: int, *, by_refresh_token: bool) -> None:
        session = self.pick(who, which)
        token = session.tokens[0] if by_refresh_token else None
        access = None if by_refresh_token else session.access[0][0]
        self.run(self.limen.features.logout.sign_out(refresh_token=token, access_token=access))
        session.row = session.row._replace(ended=True)

    @rule(who=who, act=st.sampled_from(["disable", "enable", "set_password"]))
    def an_operator_acts(self, who: int, act: str) -> None:
        account = self.accounts[who]
        user_id, accounts = account.person.user_id, self.limen.features.accounts
        match act:
            case "disable":
                self.run(accounts.disable(user_id))
                account.enabled = False
            case "enable":
                self.run(accounts.enable(user_id))
                account.enabled = True
                return
            case _:
                account.person.password = account.person.password[::-1]
                self.run(accounts.set_password(user_id, account.person.password))
        account.void()

    @rule(seconds=st.sampled_from([ACCESS, IDLE - ACCESS]))
    def a_long_time_passes(self, seconds: int) -> None:
        self.clock.tick(seconds)

    @invariant()
    def every_access_token_is_what_the_model_says(self) -> None:
        now = self.clock.now // SECOND
        for account in self.accounts:
            for session in account.sessions:
                for token, expires_at in session.access[-1:]:
                    good = not session.row.ended and expires_at > now
                    status = self.run(account.person.me(token)).status_code
                    assert status == (200 if good else 401)

    @invariant()
    def rows_are_sessions_and_generations_never_go_back(self) -> None:
        known = [session for account in self.accounts for session in account.sessions]
        stored = self.run(rows(self.limen, sessions))
        assert len(stored) == len(known)
        assert sorted((row.gen, row.ended_at is not None) for row in stored) == sorted(
            (session.row.gen, session.row.ended) for session in known
        )

    def present(self, who: int, session: Session, k: int, key: str | None, *, after: int) -> None:
        """Refresh with the token of generation k, and compare with what the model decides."""
        self.clock.tick(after)
        age = (self.clock.now - session.handed_at) // SECOND
        row = session.row._replace(age=age)
        outcome, following = decide(row, k, key, WINDOW if key else 0)
        if session.expires_at[k] <= self.clock.now // SECOND:
            outcome, following = None, row

        answer = self.run(self.accounts[who].person.refresh(session.tokens[k], key))

        if outcome in HANDED_OUT:
            assert answer.status_code == 200, (outcome, answer.text)
            self.handed_out(session, following, answer.json())
        else:
            assert answer.status_code == (409 if outcome is Outcome.SUPERSEDED else 401), outcome
        session.row = following
        if following.age != age:
            session.handed_at = self.clock.now

    def pick(self, who: int, which: int) -> Session:
        owned = self.accounts[who].sessions
        return owned[-1 - which % len(owned)]  # rather one of the newest

    def started(self, account: Account) -> None:
        session = Session(Row(), 0, [], [], [])
        account.sessions.append(session)
        self.handed_out(session, Row(), account.person.tokens)

    def handed_out(self, session: Session, row: Row, pair: dict[str, Any]) -> None:
        """Note what was handed out; a generation that was handed out before is the same again."""
        now = self.clock.now // SECOND
        session.access.append((pair["access_token"], now + ACCESS))
        if row.gen < len(session.tokens):
            assert pair["refresh_token"] == session.tokens[row.gen]
        else:
            assert pair["refresh_token"] not in session.tokens
            assert row.gen == len(session.tokens)
            session.tokens.append(pair["refresh_token"])
            session.expires_at.append(now + IDLE)
        assert pair["refresh_expires_in"] == session.expires_at[row.gen] - now


TestOnSQLite, TestOnPostgreSQL = on_both(LoginOverHttp)
