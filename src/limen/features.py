"""Everything limen can do, assembled from its settings: what api and cli are given.

Settings stop here: features receive values. Opening brings the database to its present shape,
loads or makes the secret, reads the revocations, and loads or makes the signing keys; only
then is anything answered. While it is open, the revocations are followed and expired rows are
swept; closing stops both and waits for what is running.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from limen.account_changes import AccountChanges
from limen.account_deletion import AccountDeletion
from limen.account_search import AccountSearch
from limen.accounts import Accounts
from limen.administration import Administration
from limen.audit import AuditTrail
from limen.blocklist import Blocklist
from limen.breaches import BreachedPasswords
from limen.clock import SECOND, Clock
from limen.codes import Codes
from limen.confirmation import Confirmation
from limen.credentials import ClientCredentials
from limen.current_password import CurrentPassword
from limen.custom_claims import ClaimsFunction, CustomClaims
from limen.database.engine import Database
from limen.database.migrate import needed_revision
from limen.database.opening import open_database, prepare
from limen.deliveries import Deliveries
from limen.devices import Devices
from limen.email_change import EmailChange
from limen.email_verification import EmailVerification
from limen.emails import Emails
from limen.erasure import Erasure
from limen.errors import DatabaseUnavailable
from limen.events import Events
from limen.feed import Feed
from limen.hashing import HashingRoom
from limen.inbox import Inbox
from limen.introspection import Introspection
from limen.invitations import Invitations
from limen.key_ring import KeyRing, SigningKey
from limen.keys import SigningKeys
from limen.lock import Lock
from limen.login import Login, LoginPolicies
from limen.logout import Logout
from limen.mail import Mail
from limen.mail_delivery import MailDelivery, host_of
from limen.mail_requests import MailRequests
from limen.mailed_codes import CodePolicies, MailedCodes
from limen.origin import LIMEN, coming_from
from limen.outbox import Outbox
from limen.own_sessions import OwnSessions
from limen.password_change import PasswordChange
from limen.password_reset import PasswordReset
from limen.passwords import Passwords
from limen.rate_limits import Policy, RateLimits
from limen.refresh import Refresh
from limen.registration import Registration
from limen.retention import Retention
from limen.revocation import RevocationLog
from limen.rounds import Rounds
from limen.sealing import Seal
from limen.secret import RootSecret
from limen.sessions import Sessions
from limen.settings import Argon2Cost, Limit, Settings
from limen.smtp import MailServer
from limen.sweep import Sweep
from limen.templates import Templates
from limen.tokens import Tokens
from limen.verify.revocations import Revocations
from limen.verify.verifier import Verifier
from limen.webhook_delivery import WebhookDelivery
from limen.webhook_letters import WebhookLetters
from limen.webhooks import Webhooks

# The guard tolerates ten times this without an answer (limen.verify.revocations).
FOLLOW_SECONDS = 1.0
HOUSEKEEPING_SECONDS = 60.0

# Another worker, which has issued a token just now, may have a clock that is a little ahead.
CLOCK_SKEW_SECONDS = 5

# Connections to the mail server: some providers admit no more from one account.
MAILS_AT_ONCE = 4

# What the limits are called in RateLimit headers, metrics and logs.
LOGIN, LOGIN_DEVICE, LOGIN_ADDRESS = "login", "login-device", "login-address"
REGISTER_ADDRESS, CLIENT_ADDRESS = "register-address", "client-address"
MAIL, MAIL_ADDRESS, CODE, CODE_ADDRESS = "mail", "mail-address", "code", "code-address"
LIMIT_NAMES = (
    *(LOGIN, LOGIN_DEVICE, LOGIN_ADDRESS, REGISTER_ADDRESS, CLIENT_ADDRESS),
    *(MAIL, MAIL_ADDRESS, CODE, CODE_ADDRESS),
)

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Memory:
    """What the guard of every route reads: the keys and the revocations, known without I/O.

    It exists before anything is opened, and refuses everything until then. `rounds` are those in
    which it is brought up to date.
    """

    rounds: Rounds
    ring: KeyRing
    revocations: Revocations
    verifier: Verifier

    @classmethod
    def of(cls, settings: Settings, clock: Clock) -> Self:
        rounds, revocations = Rounds(FOLLOW_SECONDS), Revocations()
        ring = KeyRing([], clock, rounds)
        verifier = Verifier(
            settings.public_url,
            settings.audience,
            keys=ring,
            revocations=revocations,
            max_lifetime=settings.access_token_lifetime,
            leeway=CLOCK_SKEW_SECONDS,
            now=lambda: clock() / SECOND,
        )
        return cls(rounds, ring, revocations, verifier)


class Features:
    """The features, built from an open database and the root secret; `load` makes them ready."""

    def __init__(
        self,
        settings: Settings,
        memory: Memory,
        *,
        database: Database,
        secret: RootSecret,
        clock: Clock,
        events: Events,
        cost: Argon2Cost,
        claims: ClaimsFunction | None = None,
    ) -> None:
        limits = RateLimits(
            database,
            key=secret.derive("rate limits"),
            patience=settings.hash_queue_time,
            clock=clock,
            events=events,
        )
        self.memory = memory
        self._keys_announced = False
        self.database = database
        self.secret = secret
        self.room = HashingRoom(settings.hash_threads, settings.hash_queue_time, events)
        self.blocklist = Blocklist(database, clock)
        self.breaches = _breaches(settings, events)
        self.passwords = Passwords(
            cost,
            self.room,
            min_length=settings.password_min_length,
            service_name=settings.service_name,
            stand_in_key=secret.derive("stand-ins"),
            blocklist=self.blocklist,
            breaches=self.breaches,
        )
        self.audit = AuditTrail(database, secret.derive_all("audit"), clock)
        seal = Seal(secret.derive_all("outbox"))
        self.outbox = Outbox(database, seal, clock=clock, events=events)
        self.webhook_letters = WebhookLetters(database, self.outbox)
        self.log = RevocationLog(
            database,
            memory.revocations,
            longest=settings.access_token_lifetime,
            clock=clock,
            events=events,
            recorders=(self.audit.record, self.webhook_letters.record),
        )
        self.erasure = Erasure(database, self.log, self.audit, clock)
        self.deliveries = Deliveries(database, clock)
        self.mail_delivery = mail_delivery_of(settings)
        self.inbox = Inbox(database, seal, self.mail_delivery)
        if settings.mail_goes == "into the inbox":
            self.outbox.carried_by("mail", self.mail_delivery.keep, keeps_content=True)
        else:
            self.outbox.carried_by("mail", self.mail_delivery.deliver, at_once=MAILS_AT_ONCE)
        self.webhooks = Webhooks(database, Seal(secret.derive_all("webhooks")), clock=clock)
        self.webhook_delivery = WebhookDelivery(self.webhooks, clock=clock)
        self.outbox.carried_by("webhook", self.webhook_delivery.carry)
        self.feed = Feed(self.log, memory.revocations, memory.rounds)
        self.keys = SigningKeys(
            database,
            self.log,
            secret,
            algorithm=settings.signing_algorithm,
            clock=clock,
        )
        self.tokens = Tokens(
            memory.ring,
            secret,
            issuer=settings.public_url,
            audience=settings.audience,
            access_lifetime=settings.access_token_lifetime,
            refresh_lifetime=settings.refresh_token_lifetime,
            clock=clock,
        )
        self.custom_claims = CustomClaims(database, claims)
        self.sessions = Sessions(self.log, lifetime=settings.session_lifetime, clock=clock)
        self.changes = AccountChanges(self.sessions)
        self.emails = Emails(allow_special=settings.special_email_domains)
        self.mail_requests = MailRequests(
            self.outbox,
            self.log,
            limits,
            mailbox=_policy(MAIL, settings.mail_limit),
            address=_policy(MAIL_ADDRESS, settings.mail_address_limit),
        )
        self.accounts = Accounts(
            database,
            self.log,
            self.changes,
            self.passwords,
            emails=self.emails,
            requests=self.mail_requests,
            clock=clock,
        )
        self.codes = Codes(database, key=secret.derive("codes"), clock=clock)
        self.mail = Mail(self.outbox)
        self.mailed_codes = MailedCodes(
            database=database,
            log=self.log,
            codes=self.codes,
            mail=self.mail,
            limits=limits,
            policies=CodePolicies(
                account=_policy(CODE, settings.code_limit),
                address=_policy(CODE_ADDRESS, settings.login_address_limit),
            ),
            lifetimes={
                "verify": settings.verify_code_lifetime,
                "email_change": settings.verify_code_lifetime,
                "reset": settings.reset_code_lifetime,
                "invite": settings.invitation_lifetime,
            },
        )
        self.login = Login(
            database=database,
            log=self.log,
            accounts=self.accounts,
            emails=self.emails,
            sessions=self.sessions,
            passwords=self.passwords,
            tokens=self.tokens,
            claims=self.custom_claims,
            limits=limits,
            lock=Lock(self.mail_requests),
            devices=Devices(secret.derive("devices"), clock),
            policies=LoginPolicies(
                account=_policy(LOGIN, settings.login_limit),
                device=_policy(LOGIN_DEVICE, settings.login_limit),
                address=_policy(LOGIN_ADDRESS, settings.login_address_limit),
            ),
            only_verified=settings.unverified_sign_in == "refuse",
            events=events,
        )
        self.current_password = CurrentPassword(self.accounts, self.login)
        self.password_reset = PasswordReset(
            log=self.log,
            accounts=self.accounts,
            emails=self.emails,
            changes=self.changes,
            passwords=self.passwords,
            codes=self.mailed_codes,
            mail=self.mail,
            requests=self.mail_requests,
            clock=clock,
        )
        self.password_change = PasswordChange(
            log=self.log,
            changes=self.changes,
            passwords=self.passwords,
            mail=self.mail,
            current_password=self.current_password,
        )
        self.own_sessions = OwnSessions(
            database,
            self.log,
            self.changes,
            self.sessions,
            idle=settings.refresh_token_lifetime * SECOND,
            clock=clock,
        )
        self.account_deletion = AccountDeletion(self.log, self.changes, self.current_password)
        self.refresh = Refresh(
            database,
            self.log,
            self.tokens,
            self.custom_claims,
            grace=settings.refresh_reuse_grace,
            clock=clock,
            events=events,
        )
        self.account_search = AccountSearch(database)
        self.administration = Administration(
            database,
            self.log,
            accounts=self.accounts,
            changes=self.changes,
            sessions=self.sessions,
            own_sessions=self.own_sessions,
            clock=clock,
        )
        self.confirmation = Confirmation(self.accounts, self.login, self.mailed_codes)
        self.email_verification = EmailVerification(
            log=self.log,
            accounts=self.accounts,
            emails=self.emails,
            changes=self.changes,
            codes=self.mailed_codes,
            requests=self.mail_requests,
            confirmation=self.confirmation,
            clock=clock,
        )
        self.email_change = EmailChange(
            log=self.log,
            accounts=self.accounts,
            emails=self.emails,
            changes=self.changes,
            codes=self.mailed_codes,
            mail=self.mail,
            requests=self.mail_requests,
            current_password=self.current_password,
            confirmation=self.confirmation,
            clock=clock,
        )
        self.invitations = Invitations(
            log=self.log,
            accounts=self.accounts,
            emails=self.emails,
            changes=self.changes,
            passwords=self.passwords,
            codes=self.mailed_codes,
            clock=clock,
        )
        self.registration = Registration(
            log=self.log,
            accounts=self.accounts,
            emails=self.emails,
            passwords=self.passwords,
            limits=limits,
            mail=self.mail,
            requests=self.mail_requests,
            verification=self.email_verification,
            invitations=self.invitations,
            who=settings.registration,
            is_quiet=settings.smtp_url is not None,
            policy=_policy(REGISTER_ADDRESS, settings.register_address_limit),
        )
        self.logout = Logout(self.sessions, self.tokens, memory.verifier)
        self.credentials = ClientCredentials(
            database,
            self.log,
            limits,
            policy=_policy(CLIENT_ADDRESS, settings.login_address_limit),
            clock=clock,
        )
        self.introspection = Introspection(
            database, self.tokens, memory.verifier, issuer=settings.public_url, clock=clock
        )
        self.retention = Retention(
            self.audit, self.erasure, kept=settings.audit_retention, clock=clock
        )
        self.sweep = Sweep(
            database,
            idle=settings.refresh_token_lifetime,
            clock=clock,
            events=events,
            others={"audit": self.retention.round},
        )

    async def load(self, *, to_serve: bool = True) -> None:
        """Read the signing keys, the revocation log, a sample of the password hashes, and webhooks.

        Raises:
            ConfigurationError: The root secret is not the one the database was made with; or a
                template of a mail is wrong.
            DatabaseUnavailable: The database cannot be read or written.
        """
        await self.log.pull()  # first, so that keys made from now on are announced to us
        self.memory.ring.replace(await self.keys.open(to_serve=to_serve))
        self.passwords.learn(await self.accounts.sample_hashes())
        if to_serve:
            self.mail_delivery.check()
            await self.webhooks.seal_anew()
        await self.webhook_letters.refresh()

    async def follow(self) -> None:
        """Obey what other processes have revoked, and take over the keys they have made."""
        pulled = await self.log.pull()
        self._keys_announced |= self.log.began_anew
        self._keys_announced |= any(revocation.kind == "keys" for revocation in pulled)
        if self._keys_announced:  # once, so it is kept in mind until the keys were really read
            if keys := await self.keys.load():  # without any, those that were known go on
                self.memory.ring.replace(keys)
            self._keys_announced = False

    async def rotate_keys(self, *, emergency: bool = False) -> SigningKey:
        """Make a new signing key, and take it over here at once (`limen.keys`).

        Raises:
            DatabaseUnavailable: Nothing has changed.
        """
        made = await self.keys.rotate(emergency=emergency)
        await self.follow()
        return made

    async def seal_trail(self) -> None:
        """Bind into the audit trail what has happened since the last round."""
        await self.audit.seal()

    async def readiness(self) -> dict[str, str]:
        """Return what each check says: "ok", or in a few words what is wrong."""
        return {
            "database": await self._database_check(),
            "keys": self._keys_check(),
            "revocations": "ok" if self.memory.revocations.is_fresh else "not followed lately",
        }

    def _keys_check(self) -> str:
        if self._keys_announced:
            return "new ones could not be read"
        return "ok" if self.memory.ring.all else "no signing key"

    async def _database_check(self) -> str:
        try:
            revision = await self.database.revision()
        except DatabaseUnavailable:
            return "unavailable"
        return "ok" if revision == needed_revision() else f"its schema is {revision}"

    async def keep_house(self) -> None:
        """Let go of what has expired, in the database and in memory."""
        await self.sweep.round()
        self.log.forget_expired()
        self.passwords.learn(await self.accounts.sample_hashes())


def _breaches(settings: Settings, events: Events) -> BreachedPasswords | None:
    url, when_down = settings.breached_passwords_url, settings.breached_passwords_down
    return BreachedPasswords(url, when_down=when_down, events=events) if url else None


def database_of(settings: Settings, events: Events) -> Database:
    """Return the database that the settings name, without connecting yet."""
    return open_database(
        settings.database_url,
        events,
        connections=settings.database_connections,
        statement_timeout=settings.database_statement_timeout,
        behind_pooler=settings.database_pooler == "transaction",
    )


def mail_delivery_of(settings: Settings) -> MailDelivery:
    """Return what writes the mails, and sends them to the server that the settings name."""
    server = None
    if settings.smtp_url is not None:
        server = MailServer.of(settings.smtp_url, greets_as=host_of(settings.public_url))
    return MailDelivery(
        Templates(settings.mail_templates),
        server,
        sender=settings.mail_from,
        service=settings.service_name,
        public_url=settings.public_url,
    )


@asynccontextmanager
async def opened(
    settings: Settings,
    memory: Memory,
    *,
    clock: Clock,
    events: Events,
    cost: Argon2Cost | None = None,
    claims: ClaimsFunction | None = None,
    to_serve: bool = True,
) -> AsyncIterator[Features]:
    """Open the features for the length of the block.

    Whoever does not open them `to_serve` leaves the signing keys as a server's settings want them.
    `cost` replaces the configured cost of a password hash, which has a floor; tests use a cheap
    one. `claims` says what else stands in access tokens (`limen.custom_claims`).

    Raises:
        ConfigurationError: The secret or the data directory cannot be used.
        SchemaOutdated: The database is PostgreSQL, and `limen migrate` has to be run first.
        DatabaseUnavailable: The database cannot be opened.
    """
    secret = RootSecret.load(settings.secret, settings.data_dir)
    before = await asyncio.to_thread(prepare, settings.database_url)
    if not before.is_current:
        revisions = {"before": before.current, "now": before.needed}
        _logger.info("database migrated", extra=revisions)
    database = database_of(settings, events)
    features = Features(
        settings,
        memory,
        database=database,
        secret=secret,
        clock=clock,
        events=events,
        cost=cost or settings.password_hash,
        claims=claims,
    )
    try:
        with coming_from(LIMEN):
            await features.load(to_serve=to_serve)
        if to_serve:
            _tell_where_mail_goes(settings)
        yield features
    finally:
        features.room.close()
        features.custom_claims.close()
        await features.webhook_delivery.close()
        if features.breaches:
            await features.breaches.close()
        await database.close()


@asynccontextmanager
async def in_the_background(features: Features) -> AsyncIterator[None]:
    """Follow the revocations and keep house for the length of the block."""
    following = features.memory.rounds
    tasks = [
        asyncio.create_task(_listen(features.database, following)),
        asyncio.create_task(following.repeat(features.follow)),
        asyncio.create_task(Rounds(HOUSEKEEPING_SECONDS).repeat(features.keep_house)),
        asyncio.create_task(features.audit.rounds.repeat(features.seal_trail)),
        asyncio.create_task(
            features.webhook_letters.rounds.repeat(features.webhook_letters.refresh)
        ),
        *(asyncio.create_task(rounds) for rounds in features.outbox.rounds()),
    ]
    for task in tasks:
        task.add_done_callback(_report)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _tell_where_mail_goes(settings: Settings) -> None:
    match settings.mail_goes:
        case "into the inbox":
            inbox = f"{settings.public_url}/dev/inbox"
            _logger.info("mail is not sent: read it at %s", inbox)
        case "nowhere":
            _logger.warning("mail is not sent at all: LIMEN_SMTP_URL names no mail server")


async def _listen(database: Database, following: Rounds) -> None:
    async for _ in database.hints():
        following.hurry()


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        _logger.error("a background task has ended", exc_info=task.exception())


def _policy(name: str, limit: Limit) -> Policy:
    return Policy(name, limit.quota, limit.window)
