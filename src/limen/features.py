"""Everything limen can do, assembled from its settings: what api and cli are given.

Settings stop here: features receive values. What is made first is needed by what comes after it:

    passwords       policy, hashing, lists of what nobody may choose
    the record      the revocation log, the trail, the outbox and who empties it
    mail            letters, codes, and what strangers may ask for
    accounts        sessions, tokens, who can sign in
    the doors       signing in, refreshing, signing out, services that ask
    changes         what owners and administrators do with accounts
    beginnings      newcomers, and the invited
    upkeep          what goes when its time has come
"""

from dataclasses import dataclass

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
from limen.database.opening import open_database
from limen.deliveries import Deliveries
from limen.devices import Devices
from limen.email_change import EmailChange
from limen.email_verification import EmailVerification
from limen.emails import Emails
from limen.erasure import Erasure
from limen.errors import DatabaseUnavailable
from limen.events import Events
from limen.explanation import Explanations
from limen.feed import Feed
from limen.following import Following
from limen.hashing import HashingRoom
from limen.inbox import Inbox
from limen.introspection import Introspection
from limen.invitations import Invitations
from limen.keys import SigningKeys
from limen.lock import Lock
from limen.login import Login, LoginPolicies
from limen.logout import Logout
from limen.mail import Mail
from limen.mail_delivery import MailDelivery, host_of
from limen.mail_requests import MailRequests
from limen.mailed_codes import CodePolicies, MailedCodes
from limen.memory import Memory
from limen.outbox import Outbox
from limen.own_sessions import OwnSessions
from limen.password_change import PasswordChange
from limen.password_reset import PasswordReset
from limen.passwords import Passwords
from limen.policies import Policies
from limen.rate_limits import RateLimits
from limen.refresh import Refresh
from limen.registration import Registration
from limen.retention import Retention
from limen.revocation import RevocationLog
from limen.sealing import Seal
from limen.secret import RootSecret
from limen.sessions import Sessions
from limen.settings import Argon2Cost, Settings
from limen.smtp import MailServer
from limen.sweep import Sweep
from limen.templates import Templates
from limen.tokens import Tokens
from limen.webhook_delivery import WebhookDelivery
from limen.webhook_letters import WebhookLetters
from limen.webhooks import Webhooks

# Connections to the mail server: some providers admit no more from one account.
MAILS_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """What features are made of: an open database, the root secret, and what is passed in."""

    settings: Settings
    memory: Memory
    database: Database
    secret: RootSecret
    clock: Clock
    events: Events
    cost: Argon2Cost
    claims: ClaimsFunction | None = None


class Features:
    """The features, built from an open database and the root secret; `load` makes them ready."""

    def __init__(self, kit: Kit) -> None:
        self.memory = kit.memory
        self.database = kit.database
        self.secret = kit.secret
        policies = Policies.of(kit.settings)
        limits = RateLimits(
            kit.database,
            key=kit.secret.derive("rate limits"),
            patience=kit.settings.hash_queue_time,
            clock=kit.clock,
            events=kit.events,
        )
        self._make_passwords(kit)
        self._make_record(kit)
        self._make_mail(kit, limits, policies)
        self._make_accounts(kit)
        self._make_doors(kit, limits, policies)
        self._make_changes(kit)
        self._make_beginnings(kit, limits, policies)
        self._make_upkeep(kit)

    def _make_passwords(self, kit: Kit) -> None:
        settings = kit.settings
        self.room = HashingRoom(settings.hash_threads, settings.hash_queue_time, kit.events)
        self.blocklist = Blocklist(kit.database, kit.clock)
        self.breaches = _breaches(settings, kit.events)
        self.passwords = Passwords(
            kit.cost,
            self.room,
            min_length=settings.password_min_length,
            service_name=settings.service_name,
            stand_in_key=kit.secret.derive("stand-ins"),
            blocklist=self.blocklist,
            breaches=self.breaches,
        )

    def _make_record(self, kit: Kit) -> None:
        database, clock = kit.database, kit.clock
        self.audit = AuditTrail(database, kit.secret.derive_all("audit"), clock)
        self.outbox = Outbox(database, _outbox_seal(kit), clock=clock, events=kit.events)
        self.deliveries = Deliveries(database, clock)
        self.webhook_letters = WebhookLetters(database, self.outbox)
        self.log = RevocationLog(
            database,
            kit.memory.revocations,
            longest=kit.settings.access_token_lifetime,
            clock=clock,
            events=kit.events,
            recorders=(self.audit.record, self.webhook_letters.record),
        )
        self.feed = Feed(self.log, kit.memory.revocations, kit.memory.rounds)
        seal = Seal(kit.secret.derive_all("webhooks"))
        self.webhooks = Webhooks(database, self.log, seal, clock=clock)
        self.webhook_delivery = WebhookDelivery(self.webhooks, clock=clock)
        self.outbox.carried_by("webhook", self.webhook_delivery.carry)

    def _make_mail(self, kit: Kit, limits: RateLimits, policies: Policies) -> None:
        self.mail = Mail(self.outbox)
        self.mail_delivery = mail_delivery_of(kit.settings)
        self.inbox = Inbox(kit.database, _outbox_seal(kit), self.mail_delivery)
        if kit.settings.mail_goes == "into the inbox":
            self.outbox.carried_by("mail", self.mail_delivery.keep, keeps_content=True)
        else:
            self.outbox.carried_by("mail", self.mail_delivery.deliver, at_once=MAILS_AT_ONCE)
        self.mail_requests = MailRequests(
            self.outbox, self.log, limits, mailbox=policies.mail, address=policies.mail_address
        )
        self.codes = Codes(kit.database, key=kit.secret.derive("codes"), clock=kit.clock)
        self.mailed_codes = MailedCodes(
            database=kit.database,
            log=self.log,
            codes=self.codes,
            mail=self.mail,
            limits=limits,
            policies=CodePolicies(account=policies.code, address=policies.code_address),
            lifetimes={
                "verify": kit.settings.verify_code_lifetime,
                "email_change": kit.settings.verify_code_lifetime,
                "reset": kit.settings.reset_code_lifetime,
                "invite": kit.settings.invitation_lifetime,
            },
        )

    def _make_accounts(self, kit: Kit) -> None:
        settings, clock = kit.settings, kit.clock
        self.keys = SigningKeys(
            kit.database, self.log, kit.secret, algorithm=settings.signing_algorithm, clock=clock
        )
        self.following = Following(self.log, self.keys, kit.memory.ring)
        self.tokens = Tokens(
            kit.memory.ring,
            kit.secret,
            issuer=settings.public_url,
            audience=settings.audience,
            access_lifetime=settings.access_token_lifetime,
            refresh_lifetime=settings.refresh_token_lifetime,
            clock=clock,
        )
        self.custom_claims = CustomClaims(kit.database, kit.claims)
        self.sessions = Sessions(self.log, lifetime=settings.session_lifetime, clock=clock)
        self.changes = AccountChanges(self.sessions)
        self.emails = Emails(allow_special=settings.special_email_domains)
        self.accounts = Accounts(
            kit.database,
            self.log,
            self.changes,
            self.passwords,
            emails=self.emails,
            requests=self.mail_requests,
            clock=clock,
        )
        self.account_search = AccountSearch(kit.database)
        self.devices = Devices(kit.secret.derive("devices"), clock)

    def _make_doors(self, kit: Kit, limits: RateLimits, policies: Policies) -> None:
        settings, verifier = kit.settings, kit.memory.verifier
        self.login = Login(
            database=kit.database,
            log=self.log,
            accounts=self.accounts,
            emails=self.emails,
            sessions=self.sessions,
            passwords=self.passwords,
            tokens=self.tokens,
            claims=self.custom_claims,
            limits=limits,
            lock=Lock(self.mail_requests),
            devices=self.devices,
            policies=LoginPolicies(
                account=policies.login, device=policies.login_device, address=policies.login_address
            ),
            only_verified=settings.unverified_sign_in == "refuse",
            events=kit.events,
        )
        self.refresh = Refresh(
            kit.database,
            self.log,
            self.tokens,
            self.custom_claims,
            grace=settings.refresh_reuse_grace,
            clock=kit.clock,
            events=kit.events,
        )
        self.logout = Logout(self.sessions, self.tokens, verifier)
        self.credentials = ClientCredentials(
            kit.database, self.log, limits, policy=policies.client_address, clock=kit.clock
        )
        self.introspection = Introspection(
            kit.database, self.tokens, verifier, issuer=settings.public_url, clock=kit.clock
        )
        self.current_password = CurrentPassword(self.accounts, self.login)
        self.confirmation = Confirmation(self.accounts, self.login, self.mailed_codes)

    def _make_changes(self, kit: Kit) -> None:
        self.password_reset = PasswordReset(
            log=self.log,
            accounts=self.accounts,
            emails=self.emails,
            changes=self.changes,
            passwords=self.passwords,
            codes=self.mailed_codes,
            mail=self.mail,
            requests=self.mail_requests,
            devices=self.devices,
            clock=kit.clock,
        )
        self.password_change = PasswordChange(
            log=self.log,
            changes=self.changes,
            passwords=self.passwords,
            mail=self.mail,
            current_password=self.current_password,
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
            clock=kit.clock,
        )
        self.own_sessions = OwnSessions(
            kit.database,
            self.log,
            self.changes,
            self.sessions,
            idle=kit.settings.refresh_token_lifetime * SECOND,
            clock=kit.clock,
        )
        self.account_deletion = AccountDeletion(self.log, self.changes, self.current_password)
        self.administration = Administration(
            kit.database,
            self.log,
            accounts=self.accounts,
            changes=self.changes,
            sessions=self.sessions,
            own_sessions=self.own_sessions,
            clock=kit.clock,
        )

    def _make_beginnings(self, kit: Kit, limits: RateLimits, policies: Policies) -> None:
        self.email_verification = EmailVerification(
            log=self.log,
            accounts=self.accounts,
            emails=self.emails,
            changes=self.changes,
            codes=self.mailed_codes,
            requests=self.mail_requests,
            confirmation=self.confirmation,
            clock=kit.clock,
        )
        self.invitations = Invitations(
            log=self.log,
            accounts=self.accounts,
            emails=self.emails,
            changes=self.changes,
            passwords=self.passwords,
            codes=self.mailed_codes,
            clock=kit.clock,
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
            who=kit.settings.registration,
            is_quiet=kit.settings.smtp_url is not None,
            policy=policies.register_address,
        )

    def _make_upkeep(self, kit: Kit) -> None:
        self.erasure = Erasure(kit.database, self.log, self.audit, kit.clock)
        self.explanations = Explanations(
            kit.database, self.audit, idle=kit.settings.refresh_token_lifetime, clock=kit.clock
        )
        self.retention = Retention(
            self.audit, self.erasure, kept=kit.settings.audit_retention, clock=kit.clock
        )
        self.sweep = Sweep(
            kit.database,
            idle=kit.settings.refresh_token_lifetime,
            clock=kit.clock,
            events=kit.events,
            others={"audit": self.retention.round},
        )

    async def load(self, *, to_serve: bool = True) -> None:
        """Read the signing keys, the revocation log, a sample of the password hashes, and webhooks.

        Raises:
            ConfigurationError: The root secret is not the one the database was made with; or a
                template of a mail is wrong.
            DatabaseUnavailable: The database cannot be read or written.
        """
        await self.following.begin(to_serve=to_serve)
        self.passwords.learn(await self.accounts.sample_hashes())
        if to_serve:
            self.mail_delivery.check()
            await self.webhooks.seal_anew()
            await self.audit.take_over()
        await self.webhook_letters.refresh()

    async def readiness(self) -> dict[str, str]:
        """Return what each check says: "ok", or in a few words what is wrong."""
        return {
            "database": await self._database_check(),
            "keys": self.following.check(),
            "revocations": "ok" if self.memory.revocations.is_fresh else "not followed lately",
        }

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

    async def close(self) -> None:
        """Stop what has threads or connections of its own."""
        self.room.close()
        self.custom_claims.close()
        await self.webhook_delivery.close()
        if self.breaches:
            await self.breaches.close()
        await self.database.close()


def _outbox_seal(kit: Kit) -> Seal:
    return Seal(kit.secret.derive_all("outbox"))


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
