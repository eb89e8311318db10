"""SMTP: handing one message for one mailbox to the mail server.

    smtps://            TLS from the first byte
    smtp://             STARTTLS, or nothing is said: no password and no message in the clear
    smtp:// on this     STARTTLS where it is offered, with whatever certificate: nobody listens in
    machine             between, and the server may be a simple one

The server's certificate must be good for its name, by the authorities of the system (or those that
SSL_CERT_FILE names). Each message has a connection of its own, and bounded time: less than the
lease of a letter in the outbox, so that nobody else takes it up meanwhile.

What went wrong is told twice. `reason` is a code and a few words of ours, and may be stored. `said`
is what the server said, which may repeat the mailbox: it is for whoever has just typed that in.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, Self
from urllib.parse import unquote, urlsplit

from aiosmtplib import (
    SMTP,
    SMTPException,
    SMTPResponseException,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)

from limen.loopback import is_loopback

STEP_SECONDS: Final = 15.0  # for the server to answer one command
MESSAGE_SECONDS: Final = 40.0  # for a whole message
GOODBYE_SECONDS: Final = 2.0  # the message has been taken by then

_PORTS: Final = {"smtp": 587, "smtps": 465}
_PERMANENT: Final = range(500, 600)


class NotSent(Exception):
    """The server has not taken the message; `is_final` says that it never will."""

    def __init__(self, reason: str, *, said: str = "", is_final: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.said = said
        self.is_final = is_final


class Accepted(NamedTuple):
    """The server has taken the message: its code with a word of ours, and what it said."""

    answer: str
    said: str


@dataclass(frozen=True, slots=True)
class MailServer:
    """A mail server, and how to be let in; `greets_as` is the name that we give ourselves."""

    host: str
    port: int
    tls: Literal["at once", "required", "offered"]
    context: ssl.SSLContext = field(repr=False)
    greets_as: str
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, url: str, *, greets_as: str) -> Self:
        """Return the server of a LIMEN_SMTP_URL."""
        parts = urlsplit(url)
        host, is_plain = parts.hostname or "", parts.scheme == "smtp"
        is_ours = is_plain and is_loopback(host)
        return cls(
            host,
            parts.port or _PORTS[parts.scheme],
            "offered" if is_ours else "required" if is_plain else "at once",
            _tls_context(checked=not is_ours),
            greets_as,
            None if parts.username is None else unquote(parts.username),
            None if parts.password is None else unquote(parts.password),
        )

    @property
    def name(self) -> str:
        """Return the server's name and port, as a person knows them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    async def send(
        self, message: bytes, *, sender: str, recipient: str, needs_utf8: bool = False
    ) -> Accepted:
        """Hand over a message; `needs_utf8` if the recipient is not written in ASCII.

        Raises:
            NotSent: The server has not taken it, cannot be reached, or is not to be trusted.
        """
        options, encoding = (["SMTPUTF8"], "utf-8") if needs_utf8 else ([], "ascii")
        async with self._session() as session:
            if needs_utf8 and not session.supports_extension("smtputf8"):
                raise NotSent("no SMTPUTF8, which the address needs", is_final=True)
            async with _step("sender refused"):
                await session.mail(sender, options=options, encoding=encoding)
            async with _step("recipient refused", can_be_final=True):
                await session.rcpt(recipient, encoding=encoding)
            async with _step("message refused", can_be_final=True):
                response = await session.data(message)
        return Accepted(f"{response.code} accepted", response.message)

    async def try_out(self) -> None:
        """Connect, sign in and leave, without a message.

        Raises:
            NotSent: As above.
        """
        async with self._session():
            pass

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[SMTP]:
        session = SMTP(
            hostname=self.host,
            port=self.port,
            local_hostname=self.greets_as,
            timeout=None,  # its wait_for would swallow a cancellation, up to Python 3.11
            use_tls=self.tls == "at once",
            start_tls=False,  # done step by step, to know which one failed
            tls_context=self.context,
        )
        try:
            with _translated():
                async with asyncio.timeout(MESSAGE_SECONDS):
                    await self._enter(session)
                    yield session
            with suppress(SMTPException, OSError):
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await session.quit()
        finally:
            session.close()

    async def _enter(self, session: SMTP) -> None:
        async with _step("no service"):
            await session.connect()
            await session.ehlo()
        if self.tls == "required" or (self.tls == "offered" and _offers_tls(session)):
            if not _offers_tls(session):
                raise NotSent("no STARTTLS, without which nothing is sent")
            async with _step("STARTTLS refused"):
                await session.starttls()
                await session.ehlo()  # what was said before counts no more
        if self.user is not None and self.password is not None:
            if not session.supported_auth_methods:
                raise NotSent("no sign-in by password")
            async with _step("sign-in refused"):
                await session.login(self.user, self.password)


def _tls_context(*, checked: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not checked:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _offers_tls(session: SMTP) -> bool:
    return session.supports_extension("starttls")


@asynccontextmanager
async def _step(problem: str, *, can_be_final: bool = False) -> AsyncIterator[None]:
    """Give the server its time for this step, and name the problem if it answers with a no."""
    try:
        async with asyncio.timeout(STEP_SECONDS):
            yield
    except SMTPResponseException as error:
        if error.code < 0:
            raise NotSent("an answer that is not SMTP", said=error.message) from None
        is_final = can_be_final and error.code in _PERMANENT
        raise NotSent(f"{error.code} {problem}", said=error.message, is_final=is_final) from None


@contextmanager
def _translated() -> Iterator[None]:
    """Make what the network, TLS and the library raise into words of ours."""
    try:
        yield
    except (SMTPTimeoutError, TimeoutError):
        raise NotSent("no answer in time") from None
    except (SMTPException, OSError) as error:
        cause = error if isinstance(error, ssl.SSLError) else error.__cause__
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise NotSent("its certificate is not good", said=cause.verify_message) from None
        if isinstance(cause, ssl.SSLError):
            raise NotSent("no TLS at this port", said=str(cause.reason or "")) from None
        if isinstance(error, SMTPServerDisconnected):
            raise NotSent("hung up") from None
        raise NotSent("cannot be reached", said=_why(cause or error)) from None


def _why(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error)
