"""Signing in: the order of the steps, top to bottom.

    0. is there room to hash?            if not, refused in microseconds, before any other work
    1. take a slot in every limit        before anything is looked at, so that guessing is bounded
    2. look the account up               unknown and disabled accounts go on with a stand-in
    3. verify the password               the same hash work in every case
    4. start the session                 if the account is still as it was read; the slots are given
                                         back and a better hash is stored in the same transaction
    5. issue the tokens

Wrong password, unknown account, disabled account, empty password: one answer, one amount of work,
and the same limits, so that neither the text nor the time nor the count tells who has an account.
"""

from dataclasses import dataclass, field

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from limen import emails
from limen.accounts import Account, Accounts
from limen.clients import bucket
from limen.database.engine import Database
from limen.database.schema import accounts
from limen.devices import Devices
from limen.errors import Busy, InvalidCredentials, LimenError, TooManyAttempts
from limen.events import Events, PasswordUpgraded, SignIn, SignInOutcome
from limen.passwords import Passwords, Verdict
from limen.rate_limits import Attempt, Bucket, Policy, RateLimits
from limen.sessions import Session, Sessions
from limen.tokens import TokenPair, Tokens


@dataclass(frozen=True, slots=True)
class Client:
    """Who is calling: its address as `limen.clients` found it, and the device token it sent."""

    address: str
    device: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What a successful sign-in hands out; `device` is None where the device was known."""

    tokens: TokenPair
    device: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class LoginPolicies:
    """The limits on failures: of an account, of one known device of it, of an address prefix."""

    account: Policy
    device: Policy
    address: Policy


class Login:
    """Signs accounts in."""

    def __init__(
        self,
        *,
        database: Database,
        accounts: Accounts,
        sessions: Sessions,
        passwords: Passwords,
        tokens: Tokens,
        limits: RateLimits,
        devices: Devices,
        policies: LoginPolicies,
        events: Events,
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._sessions = sessions
        self._passwords = passwords
        self._tokens = tokens
        self._limits = limits
        self._devices = devices
        self._policies = policies
        self._events = events

    async def sign_in(self, email: str, password: str, client: Client) -> SignedIn:
        """Exchange an e-mail address and a password for the tokens of a new session.

        Raises:
            InvalidCredentials: They do not belong together, or the account is disabled.
            TooManyAttempts: A limit is reached; the password was not looked at.
            Busy: The hashing queue is full; the password was not looked at.
            DatabaseUnavailable: No session was started.
        """
        try:
            return await self._sign_in(email, password, client)
        except (InvalidCredentials, TooManyAttempts, Busy) as refusal:
            self._events.emit(SignIn(_OUTCOMES[type(refusal)]))
            raise

    async def _sign_in(self, email: str, password: str, client: Client) -> SignedIn:
        self._passwords.require_room()
        email_key = emails.lookup_key(email)
        device = self._devices.recognise(client.device, email_key)
        async with self._limits.attempt(*self._buckets(email_key, device, client)) as attempt:
            account = await self._accounts.find(email)
            verdict = await self._verify(account, email_key, password, attempt)
            if account is None or not verdict.matches:
                raise InvalidCredentials
            session = await self._start(account, verdict, attempt)
        tokens = self._tokens.issue(session.grant, session.generation)
        self._events.emit(SignIn("success", account.user_id, session.grant.sid))
        return SignedIn(tokens, None if device else self._devices.issue(email_key))

    def _buckets(self, email_key: str, device: str | None, client: Client) -> tuple[Bucket, Bucket]:
        """A known device has slots of its own instead of the account's, which strangers share."""
        who = (
            self._limits.bucket(self._policies.account, email_key)
            if device is None
            else self._limits.bucket(self._policies.device, f"{device} {email_key}")
        )
        return who, self._limits.bucket(self._policies.address, bucket(client.address))

    async def _verify(
        self, account: Account | None, email_key: str, password: str, attempt: Attempt
    ) -> Verdict:
        if account is None or account.disabled_at is not None:
            stored = self._passwords.stand_in(email_key)
        else:
            stored = account.password_hash
        try:
            return await self._passwords.verify(password, stored)
        except Busy:  # the password was not looked at, so the attempt does not count
            async with self._database.write() as connection:
                await self._limits.give_back(connection, attempt)
            raise

    async def _start(self, account: Account, verdict: Verdict, attempt: Attempt) -> Session:
        async with self._database.write() as connection:
            session = await self._sessions.start(
                connection, user_id=account.user_id, cv=account.cv, scope=account.scope
            )
            if session is None:
                raise InvalidCredentials  # disabled, or given another password, meanwhile
            await self._limits.give_back(connection, attempt)
            if verdict.upgraded:
                await self._store(connection, account, verdict.upgraded)
        if verdict.upgraded:
            self._events.emit(PasswordUpgraded(account.user_id, "argon2id"))
        return session

    async def _store(
        self, connection: AsyncConnection, account: Account, password_hash: str
    ) -> None:
        await connection.execute(
            update(accounts)
            .where(accounts.c.user_id == account.user_id)
            .values(password_hash=password_hash)
        )


_OUTCOMES: dict[type[LimenError], SignInOutcome] = {
    InvalidCredentials: "invalid_credentials",
    TooManyAttempts: "too_many_attempts",
    Busy: "busy",
}
