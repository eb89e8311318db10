"""Signing in: the order of the steps, top to bottom.

    0. is there room to hash?            if not, refused before anything is made of what was sent
    1. wait for one's turn               where others try the same account; then take a place for
                                         the hash, so that no more set out than can be served, and
       take a slot in every limit        before anything is looked at, so that guessing is bounded
    2. look the account up               unknown, disabled and locked ones go on with a stand-in
    3. verify the password               the same hash work in every case
    4. is the address verified?          if it must be; asked only where the password was right
       ask the application               if it adds claims of its own; it may fail, so before 5
    5. start the session                 if the account is still as it was read; the slots are given
                                         back, failures forgotten and a better hash is stored in the
                                         same transaction
    6. issue the tokens

Wrong password, unknown, disabled or locked account, empty password: one answer, one amount of work,
and the same limits, so that neither the text nor the time nor the count tells who has an account.
Each failure counts towards the lock (`limen.lock`).
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from limen.accounts import Account, Accounts
from limen.clients import Client, bucket
from limen.custom_claims import CustomClaims
from limen.database.connections import UnexpectedRows
from limen.database.engine import Database
from limen.database.schema import accounts
from limen.devices import Devices
from limen.emails import Emails
from limen.errors import (
    Busy,
    ClaimsUnavailable,
    EmailNotVerified,
    InvalidCredentials,
    LimenError,
    TooManyAttempts,
)
from limen.events import Events, PasswordUpgraded, SignIn, SignInOutcome
from limen.hashing import Place
from limen.lock import Lock
from limen.passwords import Passwords, Verdict
from limen.rate_limits import Attempt, Bucket, Policy, RateLimits
from limen.revocation import Change, RevocationLog
from limen.sessions import Session, Sessions
from limen.tokens import TokenPair, Tokens


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What a successful sign-in hands out; `device` is None where the device was known."""

    tokens: TokenPair
    device: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class RightPassword:
    """A password that has proved right: of which account, and in which attempt.

    `device` is the name of the known device that it came from; `upgraded` a better hash to store.
    """

    account: Account
    attempt: Attempt
    device: str | None
    upgraded: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class LoginPolicies:
    """The limits on failures: of an account, of one known device of it, of an address prefix."""

    account: Policy
    device: Policy
    address: Policy


class Login:
    """Signs accounts in; with `only_verified`, none whose address was not verified."""

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
        claims: CustomClaims,
        limits: RateLimits,
        lock: Lock,
        devices: Devices,
        policies: LoginPolicies,
        only_verified: bool,
        events: Events,
    ) -> None:
        self._database = database
        self._log = log
        self._accounts = accounts
        self._emails = emails
        self._sessions = sessions
        self._passwords = passwords
        self._tokens = tokens
        self._claims = claims
        self._limits = limits
        self._lock = lock
        self._devices = devices
        self._policies = policies
        self._only_verified = only_verified
        self._events = events

    def require_room(self) -> None:
        """Refuse at once a sign-in that would have to wait too long, whosever it is.

        Raises:
            Busy: The hashing queue is full.
        """
        try:
            self._passwords.require_room()
        except Busy:
            self._events.emit(SignIn("busy"))
            raise

    async def sign_in(self, email: str, password: str, client: Client) -> SignedIn:
        """Exchange an e-mail address and a password for the tokens of a new session.

        Raises:
            InvalidCredentials: They do not belong together, or the account is disabled or locked.
            EmailNotVerified: They do, and the address must be verified first.
            TooManyAttempts: A limit is reached; the password was not looked at.
            Busy: The hashing queue is full; the password was not looked at.
            ClaimsUnavailable: The application's function failed; no session was started.
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
            InvalidCredentials: They do not belong together, or the account is disabled or locked.
            TooManyAttempts: A limit is reached; the password was not looked at.
            Busy: The hashing queue is full; the password was not looked at.
            DatabaseUnavailable: Nothing was decided.
        """
        async with (
            self._right_password(email, password, client) as right,
            self._log.change() as change,
        ):
            await self._settle(change, right)
        return right.account

    async def _sign_in(self, email: str, password: str, client: Client) -> SignedIn:
        async with self._right_password(email, password, client) as right:
            await self._require_verified(right)
            session = await self._start(right)
        tokens = self._tokens.issue(session.grant, session.generation)
        new = None if right.device else self._devices.issue(right.account.email_key)
        return SignedIn(tokens, new)

    @asynccontextmanager
    async def _right_password(
        self, email: str, password: str, client: Client
    ) -> AsyncIterator[RightPassword]:
        """Take the slots and check the password. The block may still find it worth nothing."""
        self._passwords.require_room()
        email_key = self._emails.lookup_key(email)
        device = self._devices.recognise(client.device, email_key)
        turn = self._limits.turn(*self._buckets(email_key, device, client))
        async with turn as attempted, self._passwords.place() as place, attempted as attempt:
            account = await self._accounts.find_by_key(email_key)
            stored = self._stored(account, email_key, is_known=device is not None)
            verdict = await self._verify(password, stored, attempt, place)
            try:
                if account is None or not verdict.matches:
                    raise InvalidCredentials  # noqa: TRY301  the block raises it, too
                yield RightPassword(account, attempt, device, verdict.upgraded)
            except InvalidCredentials:
                await self._count_failure(email_key, account, is_known=device is not None)
                raise

    def _buckets(self, email_key: str, device: str | None, client: Client) -> tuple[Bucket, Bucket]:
        """A known device has slots of its own instead of the account's, which strangers share."""
        who = (
            self._limits.bucket(self._policies.account, email_key)
            if device is None
            else self._limits.bucket(self._policies.device, f"{device} {email_key}")
        )
        return who, self._limits.bucket(self._policies.address, bucket(client.address))

    def _stored(self, account: Account | None, email_key: str, *, is_known: bool) -> str:
        """Return the hash to check against, which is of no password where none is right."""
        if account is None or account.disabled_at is not None:
            return self._passwords.stand_in(email_key)
        if not self._lock.is_open(account, is_known=is_known):
            return self._passwords.look_alike(account.password_hash)
        return account.password_hash

    async def _verify(self, password: str, stored: str, attempt: Attempt, place: Place) -> Verdict:
        try:
            return await self._passwords.verify(password, stored, place)
        except Busy:  # the password was not looked at, so the attempt does not count
            async with self._database.write() as connection:
                self._limits.give_back(connection, attempt)
            raise

    async def _require_verified(self, right: RightPassword) -> None:
        if right.account.verified_at is not None or not self._only_verified:
            return
        async with self._log.change() as change:
            await self._settle(change, right)
            change.happened(SignIn("email_not_verified", right.account.user_id))
        raise EmailNotVerified

    async def _start(self, right: RightPassword) -> Session:
        """Start the session, unless the account was disabled, locked or changed meanwhile."""
        custom = await self._custom_claims(right)
        try:
            async with self._log.change() as change:
                return await self._started(change, right, custom)
        except UnexpectedRows:
            raise InvalidCredentials from None

    async def _started(
        self, change: Change, right: RightPassword, custom: Mapping[str, Any]
    ) -> Session:
        account = right.account
        session = self._sessions.start(
            change.connection,
            user_id=account.user_id,
            cv=account.cv,
            scope=account.scope,
            roles=account.roles,
            email_verified=account.verified_at is not None,
            custom=custom,
        )
        if right.upgraded:
            await self._store(change.connection, account, right.upgraded)
        await self._settle(change, right)
        change.happened(SignIn("success", account.user_id, session.grant.sid))
        if right.upgraded:
            change.happened(PasswordUpgraded(account.user_id, "argon2id"))
        return session

    async def _custom_claims(self, right: RightPassword) -> Mapping[str, Any]:
        account = right.account
        try:
            return await self._claims.make(account.user_id, account.scope, account.roles)
        except ClaimsUnavailable:  # the password was right, so the attempt does not count
            async with self._database.write() as connection:
                self._limits.give_back(connection, right.attempt)
            raise

    async def _settle(self, change: Change, right: RightPassword) -> None:
        """Forget failures and give the slots back, unless the account was locked meanwhile.

        In this order, after any other change of the account: then nobody waits in a circle.
        """
        known = right.device is not None
        if not await self._lock.forget(change, right.account, is_known=known):
            raise InvalidCredentials
        self._limits.give_back(change.connection, right.attempt)

    async def _count_failure(
        self, email_key: str, account: Account | None, *, is_known: bool
    ) -> None:
        """Remember the failure; where there is no such account, the same is asked and written."""
        async with self._log.change() as change:
            await self._lock.count(change, email_key, is_known=is_known)
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
