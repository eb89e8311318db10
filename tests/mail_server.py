"""A real mail server (aiosmtpd), on loopback and on the loop of the test, with moods.

`answers` says what it answers to a command instead of yes, such as {"RCPT": "550 nobody"}; None
there is no answer at all. Both may be changed while it runs.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from threading import Event, Thread
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

SECONDS = 10
LOGIN, PASSWORD = "limen", "a p@ssword/ä"


@dataclass(frozen=True, slots=True)
class Received:
    """A message that was taken: the envelope, the message, and whether it came through TLS."""

    sender: str
    recipient: str
    raw: bytes
    through_tls: bool
    login: str | None

    @property
    def message(self) -> EmailMessage:
        parsed = message_from_bytes(self.raw, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    def text(self, kind: str = "plain") -> str:
        part = self.message.get_body((kind,))
        assert part is not None
        content: str = part.get_content()
        return content


@dataclass
class MailServer:
    """What it was told, and how it answers."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    answers: dict[str, str | None] = field(default_factory=dict)
    connections: int = 0
    sign_ins: list[tuple[bytes, bytes]] = field(default_factory=list)

    async def answer(self, command: str) -> str | None:
        """Return what is said to a command instead of yes, or nothing; wait for ever for None."""
        if self.answers.get(command, "") is None:
            await asyncio.Event().wait()
        return self.answers.get(command)

    # ruff: noqa: N802  these are aiosmtpd's names
    async def handle_MAIL(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if refusal := await self.answer("MAIL"):
            return refusal
        envelope.mail_from, envelope.mail_options = address, options
        return "250 OK"

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        if refusal := await self.answer("RCPT"):
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:
        if refusal := await self.answer("DATA"):
            return refusal
        (recipient,), content = envelope.rcpt_tos, envelope.content
        assert isinstance(content, bytes)
        login = session.login_data.decode() if session.login_data else None
        through_tls = session.ssl is not None
        self.received.append(
            Received(str(envelope.mail_from), recipient, content, through_tls, login)
        )
        return "250 2.0.0 Ok: queued"

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _way: str, data: LoginPassword
    ) -> AuthResult:
        self.sign_ins.append((data.login, data.password))
        good = (data.login, data.password) == (LOGIN.encode(), PASSWORD.encode())
        return AuthResult(success=good, handled=False, auth_data=data)


@asynccontextmanager
async def mail_server(
    server: MailServer | None = None,
    *,
    tls: ssl.SSLContext | None = None,
    starttls: ssl.SSLContext | None = None,
    takes_utf8: bool = False,
    wants_login: bool = False,
) -> AsyncIterator[MailServer]:
    """Run a mail server for the length of the block, once more on its port if it has one."""
    server = server or MailServer()
    loop = asyncio.get_running_loop()
    sessions: list[SMTP] = []

    def session() -> SMTP:
        server.connections += 1
        made = SMTP(
            server,
            hostname="mail.limen.test",
            loop=loop,
            tls_context=starttls,
            require_starttls=starttls is not None,
            enable_SMTPUTF8=takes_utf8,
            auth_require_tls=starttls is not None,
            authenticator=server.authenticate if wants_login else None,
            auth_exclude_mechanism=[] if wants_login else ["LOGIN", "PLAIN"],
        )
        sessions.append(made)
        return made

    listener = await loop.create_server(session, "127.0.0.1", server.port, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for one in sessions:
            if isinstance(one.transport, asyncio.WriteTransport):
                one.transport.abort()
        await asyncio.sleep(0)


@asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """Take connections and say nothing, for the length of the block; give the port."""
    waiting = asyncio.Event()

    async def wait(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await waiting.wait()
        writer.close()

    listener = await asyncio.start_server(wait, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        waiting.set()
        listener.close()


@contextmanager
def mail_server_elsewhere(server: MailServer | None = None, **options: Any) -> Iterator[MailServer]:
    """Run a mail server on a loop and in a thread of its own, for tests that have no loop."""
    server, started = server or MailServer(), Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with mail_server(server, **options):
            started.set()
            await stop.wait()

    thread = Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    assert started.wait(SECONDS)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(SECONDS)
        loop.close()
