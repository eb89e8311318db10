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

from limen.accounts import Account, Accounts
from limen.clients import bucket
from limen.database.engine import Database
from limen.database.schema import accounts
from limen.devices import Devices
from limen.emails import Emails
from limen.errors import Busy, InvalidCredentials, LimenError, TooManyAttempts
from limen.events import Events, PasswordUpgraded, SignIn, SignInOutcome
from limen.passwords import Passwords, Verdict
from limen.rate_limits import Attempt, Bucket, Policy, RateLimits
from limen.revocation import RevocationLog
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
        log: RevocationLog,
        accounts: Accounts,
        emails: Emails,
        sessions: Sessions,
        passwords: Passwords,
        tokens: Tokens,
        limits: RateLimits,
        devices: Devices,
        policies: LoginPolicies,
        events: Events,
    ) -> None:
        self._database = database
        self._log = log
        self._accounts = accounts
        self._emails = emails
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
        except (TooManyAttempts, Busy) as refusal:  # nothing was looked at: nothing to record
            self._events.emit(SignIn(_OUTCOMES[type(refusal)]))
            raise

    async def check(self, email: str, password: str, client: Client) -> Account:
        """Return the account of these, without a session: to confirm what needs more than a token.

        Within the limits of signing in; a failure counts like a failed sign-in.

        Raises:
            InvalidCredentials: They do not belong together, or the account is disabled.
            TooManyAttempts: A limit is reached; the password was not looked at.
            Busy: The hashing queue is full; the password was not looked at.
            DatabaseUnavailable: Nothing was decided.
        """
        self._passwords.require_room()
        email_key = self._emails.lookup_key(email)
        device = self._devices.recognise(client.device, email_key)
        async with self._limits.attempt(*self._buckets(email_key, device, client)) as attempt:
            account = await self._accounts.find(email)
            verdict = await self._verify(account, email_key, password, attempt)
            if account is None or not verdict.matches:
                await self._count_failure(email_key, account)
                raise InvalidCredentials
            async with self._database.write() as connection:
                await self._limits.give_back(connection, attempt)
        return account

    async def _sign_in(self, email: str, password: str, client: Client) -> SignedIn:
        self._passwords.require_room()
        email_key = self._emails.lookup_key(email)
        device = self._devices.recognise(client.device, email_key)
        async with self._limits.attempt(*self._buckets(email_key, device, client)) as attempt:
            account = await self._accounts.find(email)
            verdict = await self._verify(account, email_key, password, attempt)
            session = account and verdict.matches and await self._start(account, verdict, attempt)
            if not session:
                await self._count_failure(email_key, account)
                raise InvalidCredentials
        tokens = self._tokens.issue(session.grant, session.generation)
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

    async def _start(self, account: Account, verdict: Verdict, attempt: Attempt) -> Session | None:
        """Start the session, unless the account was disabled or changed meanwhile."""
        async with self._log.change() as change:
            session = await self._sessions.start(
                change.connection,
                user_id=account.user_id,
                cv=account.cv,
                scope=account.scope,
                roles=account.roles,
                email_verified=account.verified_at is not None,
            )
            if session is None:
                return None
            await self._limits.give_back(change.connection, attempt)
            change.happened(SignIn("success", account.user_id, session.grant.sid))
            if verdict.upgraded:
                await self._store(change.connection, account, verdict.upgraded)
                change.happened(PasswordUpgraded(account.user_id, "argon2id"))
        return session

    async def _count_failure(self, email_key: str, account: Account | None) -> None:
        """Remember the failure; where there is no such account, the same is asked and written."""
        failed = (
            update(accounts)
            .where(accounts.c.email_key == email_key)
            .values(failures=accounts.c.failures + 1)
        )
        async with self._log.change() as change:
            await change.connection.execute(failed)
            change.happened(SignIn("invalid_credentials", account.user_id if account else None))

    async def _store(
        self, connection: AsyncConnection, account: Account, password_hash: str
    ) -> None:
        await connection.execute(
            update(accounts)
            .where(accounts.c.user_id == account.user_id)
            .values(password_hash=password_hash)
        )


_OUTCOMES: dict[type[LimenError], SignInOutcome] = {
    TooManyAttempts: "too_many_attempts",
    Busy: "busy",
}
