"""Registering: opening an account for oneself.

Who may is the operator's choice: anybody, whom he has invited, or nobody.

With mail, registering must not tell who has an account. So the request does the same for every
address: it checks what was typed, takes its slots, hashes the password and writes both down. It is
answered before anybody has looked whether there is such an account (`limen.mail_requests`):

    there is none              it is opened, and its address sent a code to verify it
    one that is not verified   another code; its password stays what it is, or else whoever
                               registers last would own what somebody else has opened
    one that is                its owner is told that somebody tried
    a disabled one             nothing

Without mail nobody could be told otherwise, so the answer says it: the account, or that the address
is taken. Its code waits in the development inbox.

The slot of the limit is taken first, because a registration costs a hash; it is kept, whatever
comes of it.
"""

from collections.abc import Mapping
from typing import Any, Literal

from limen.accounts import Account, Accounts
from limen.clients import bucket
from limen.email_verification import EmailVerification
from limen.emails import Email, Emails
from limen.errors import EmailTaken, InvitationRequired, RegistrationClosed
from limen.invitations import Invitations
from limen.mail import Mail
from limen.mail_requests import MailRequests
from limen.outbox import NotDelivered
from limen.passwords import Passwords
from limen.rate_limits import Policy, RateLimits
from limen.revocation import RevocationLog


class Registration:
    """Opens accounts for whoever asks, within the `policy` of an address prefix.

    `who` may register is that of the setting; `is_quiet` if the owner alone is told, by mail.
    """

    def __init__(
        self,
        *,
        log: RevocationLog,
        accounts: Accounts,
        emails: Emails,
        passwords: Passwords,
        limits: RateLimits,
        mail: Mail,
        requests: MailRequests,
        verification: EmailVerification,
        invitations: Invitations,
        who: Literal["open", "invite", "closed"],
        is_quiet: bool,
        policy: Policy,
    ) -> None:
        self._log = log
        self._accounts = accounts
        self._emails = emails
        self._passwords = passwords
        self._limits = limits
        self._mail = mail
        self._requests = requests
        self._verification = verification
        self._invitations = invitations
        self._who = who
        self._is_quiet = is_quiet
        self._policy = policy
        requests.answered_by("register", self._answer)

    async def register(
        self, email: str, password: str, address: str, *, invitation: str | None = None
    ) -> Account | None:
        """Open an account; `address` is where the request comes from.

        Return it, or None where only the owner of the e-mail address is told what comes of it.

        Raises:
            RegistrationClosed: Nobody may register.
            InvitationRequired: Nobody may register without an invitation.
            InvalidCode: The invitation is not good, or is not one for this e-mail address.
            TooManyAttempts: A limit is reached: of this address prefix, or of this mailbox.
            InvalidRequest: The e-mail address or the password is not acceptable.
            PasswordCheckUnavailable: Nobody can tell whether the password has leaked.
            EmailTaken: There is an account with this e-mail address.
            Busy: The hashing queue is full.
            DatabaseUnavailable: Nothing was created.
        """
        if self._who == "closed":
            raise RegistrationClosed
        if self._who == "invite" and invitation is None:
            raise InvitationRequired
        async with self._limits.attempt(self._limits.bucket(self._policy, bucket(address))):
            if invitation is not None:
                return await self._invitations.accept(invitation, email, password, address)
            mailbox = self._emails.parse(email)
            await self._passwords.check_new(password, mailbox.shown)
            if not self._is_quiet:
                return await self._open(mailbox, await self._passwords.hash(password))
            await self._write_down(mailbox, password, address)
            return None

    async def _write_down(self, mailbox: Email, password: str, address: str) -> None:
        async with self._requests.attempt(mailbox.key, address):
            asked = {
                "email": mailbox.shown,
                "email_key": mailbox.key,
                "password_hash": await self._passwords.hash(password),
            }
            await self._requests.write_down("register", asked)

    async def _open(self, mailbox: Email, password_hash: str) -> Account:
        async with self._log.change() as change:
            account = await self._accounts.add(change, mailbox, password_hash)
            await self._verification.send(change, account)
        return account

    async def _answer(self, asked: Mapping[str, Any]) -> str:
        mailbox = Email(asked["email"], asked["email_key"])
        account = await self._accounts.find(mailbox.key)
        if account is not None:
            return await self._tell(account)
        try:
            await self._open(mailbox, asked["password_hash"])
        except EmailTaken:
            raise NotDelivered("the address was taken at this moment") from None
        return "opened an account"

    async def _tell(self, account: Account) -> str:
        """Tell the owner of an account that somebody tried to register its address."""
        if account.disabled_at is not None:
            return "the account is disabled"
        is_verified = account.verified_at is not None or account.reset_required_at is not None
        async with self._log.change() as change:
            if is_verified:  # or has no password: then a code to verify it would be no use
                to, user_id = account.email, account.user_id
                await self._mail.post(change, "already_there", to, user_id=user_id)
            else:
                await self._verification.send(change, account)
        return "there is an account"
