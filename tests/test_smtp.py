"""Handing messages to a mail server: a real one, in all its moods."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import quote

import pytest

from limen import outbox, smtp
from limen.clock import SECOND
from limen.smtp import MailServer, NotSent
from tests import mail_server as servers
from tests.certificates import Authority
from tests.mail_server import mail_server, silent_server

pytestmark = pytest.mark.anyio

NAME = "mail.limen.test"
MESSAGE = b"Subject: Hello\r\n\r\nHello\r\n.\r\n..\r\n"
LOGIN = f"{servers.LOGIN}:{quote(servers.PASSWORD, safe='')}@"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.in_folder(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """The authority, which this process trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    return authority


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give loopback a name by which nobody can know that it is this machine."""
    resolve = socket.getaddrinfo

    def resolved(host: Any, *rest: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if host == NAME else host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)


def at(scheme: str, port: int, host: str = NAME, login: str = "") -> MailServer:
    return MailServer.of(f"{scheme}://{login}{host}:{port}", greets_as="login.example.com")


async def send(server: MailServer, recipient: str = "ada@example.com", **options: Any) -> str:
    accepted = await server.send(
        MESSAGE, sender="no-reply@example.com", recipient=recipient, **options
    )
    return accepted.answer


async def failure(server: MailServer, recipient: str = "ada@example.com") -> NotSent:
    with pytest.raises(NotSent) as caught:
        await send(server, recipient)
    assert "ada" not in caught.value.reason
    return caught.value


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("smtp://mail.example.com", "mail.example.com", 587, "required"),
        ("smtp://mail.example.com:25", "mail.example.com", 25, "required"),
        ("smtps://mail.example.com", "mail.example.com", 465, "at once"),
        ("smtp://localhost", "localhost", 587, "offered"),
        ("smtp://127.0.0.1:1025", "127.0.0.1", 1025, "offered"),
        ("smtp://[::1]:1025", "::1", 1025, "offered"),
        ("smtps://localhost", "localhost", 465, "at once"),
    ],
)
def test_the_url_says_where_and_how(url: str, host: str, port: int, tls: str) -> None:
    server = MailServer.of(url, greets_as="x")

    assert (server.host, server.port, server.tls) == (host, port, tls)
    assert (server.user, server.password) == (None, None)
    assert server.context.check_hostname is (tls != "offered")


def test_user_and_password_are_decoded_and_not_shown() -> None:
    server = MailServer.of("smtp://me%40example.com:p%3Aa%2Fs%25s@mail.example.com", greets_as="x")

    assert (server.user, server.password) == ("me@example.com", "p:a/s%s")
    assert "p:a" not in repr(server)
    assert "me@" not in repr(server)


def test_a_message_takes_less_time_than_its_lease() -> None:
    assert smtp.STEP_SECONDS < smtp.MESSAGE_SECONDS
    assert (smtp.MESSAGE_SECONDS + smtp.GOODBYE_SECONDS + 5) * SECOND < outbox.LEASE


async def test_on_this_machine_it_goes_as_it_is() -> None:
    async with mail_server() as there:
        assert await send(at("smtp", there.port, "localhost")) == "250 accepted"

    (received,) = there.received
    assert (received.sender, received.recipient) == ("no-reply@example.com", "ada@example.com")
    assert (received.raw, received.through_tls) == (MESSAGE, False)


async def test_on_this_machine_a_certificate_of_its_own_making_is_good_enough(
    authority: Authority,
) -> None:
    async with mail_server(starttls=authority.context_for("snake.oil")) as there:
        assert await send(at("smtp", there.port, "localhost")) == "250 accepted"

    assert there.received[0].through_tls


class TestElsewhere:
    @pytest.fixture(params=["smtp", "smtps"])
    async def scheme(self, request: pytest.FixtureRequest) -> str:
        found: str = request.param
        return found

    def serving(
        self, scheme: str, context: ssl.SSLContext, **options: Any
    ) -> AbstractAsyncContextManager[servers.MailServer]:
        if scheme == "smtps":
            return mail_server(tls=context, **options)
        return mail_server(starttls=context, **options)

    async def test_it_goes_through_tls(self, trusted: Authority, scheme: str) -> None:
        async with self.serving(scheme, trusted.context_for(NAME)) as there:
            assert await send(at(scheme, there.port)) == "250 accepted"

        assert len(there.received) == 1

    async def test_it_signs_in(self, trusted: Authority, scheme: str) -> None:
        context = trusted.context_for(NAME)
        async with self.serving(scheme, context, wants_login=True) as there:
            await send(at(scheme, there.port, login=LOGIN))

        assert there.received[0].login == servers.LOGIN

    async def test_a_certificate_that_nobody_vouches_for_stops_it(
        self, authority: Authority, scheme: str
    ) -> None:
        context = authority.context_for(NAME)
        async with self.serving(scheme, context, wants_login=True) as there:
            error = await failure(at(scheme, there.port, login=LOGIN))

        assert (error.reason, error.is_final) == ("its certificate is not good", False)
        assert "unable to get local issuer" in error.said
        assert (there.received, there.sign_ins) == ([], [])

    async def test_a_certificate_for_another_name_stops_it(
        self, trusted: Authority, scheme: str
    ) -> None:
        async with self.serving(scheme, trusted.context_for("mail.limen.example")) as there:
            error = await failure(at(scheme, there.port))

        assert (error.reason, there.received) == ("its certificate is not good", [])
        assert NAME in error.said

    async def test_a_wrong_password_is_told_as_that(self, trusted: Authority, scheme: str) -> None:
        context = trusted.context_for(NAME)
        async with self.serving(scheme, context, wants_login=True) as there:
            error = await failure(at(scheme, there.port, login="limen:wrong@"))

        assert (error.reason, error.is_final) == ("535 sign-in refused", False)
        assert there.received == []

    async def test_a_server_that_lets_nobody_sign_in_is_told_as_that(
        self, trusted: Authority, scheme: str
    ) -> None:
        async with self.serving(scheme, trusted.context_for(NAME)) as there:
            error = await failure(at(scheme, there.port, login=LOGIN))

        assert error.reason == "no sign-in by password"


async def test_without_starttls_nothing_is_said_elsewhere() -> None:
    async with mail_server(wants_login=True) as there:
        error = await failure(at("smtp", there.port, login=LOGIN))

    assert error.reason == "no STARTTLS, without which nothing is sent"
    assert (there.received, there.sign_ins, error.is_final) == ([], [], False)


async def test_tls_at_a_port_without_it_is_told_as_that() -> None:
    async with mail_server() as there:
        error = await failure(at("smtps", there.port))

    assert error.reason == "no TLS at this port"


@pytest.mark.parametrize(
    ("command", "says", "reason", "is_final"),
    [
        ("RCPT", "550 5.1.1 <ada@example.com>: nobody here", "550 recipient refused", True),
        ("RCPT", "450 4.2.0 <ada@example.com>: greylisted", "450 recipient refused", False),
        ("DATA", "554 5.7.1 ada@example.com wants no spam", "554 message refused", True),
        ("DATA", "451 4.3.0 try again", "451 message refused", False),
        ("MAIL", "550 5.7.1 not your sender", "550 sender refused", False),
        ("MAIL", "421 4.7.0 too many connections", "421 sender refused", False),
    ],
)
async def test_a_refusal_is_final_if_it_is_about_this_message(
    command: str,
    says: str,
    reason: str,
    is_final: bool,  # noqa: FBT001
) -> None:
    async with mail_server() as there:
        there.answers[command] = says
        error = await failure(at("smtp", there.port, "localhost"))

    assert (error.reason, error.is_final, error.said) == (reason, is_final, says[4:])
    assert there.received == []


async def test_a_server_that_is_down_is_told_as_that() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    error = await failure(at("smtp", port, "localhost"))

    assert (error.reason, error.is_final) == ("cannot be reached", False)


async def test_a_name_that_nobody_has_is_told_as_that() -> None:
    assert (await failure(at("smtps", 465, "mail.invalid"))).reason == "cannot be reached"


class TestSlow:
    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(smtp, "STEP_SECONDS", 0.2)

    async def test_one_that_says_nothing_is_left(self) -> None:
        async with silent_server() as port:
            for scheme in ("smtp", "smtps"):
                error = await failure(at(scheme, port, "localhost"))
                assert (error.reason, error.is_final) == ("no answer in time", False)

    @pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
    async def test_one_that_stops_in_the_middle_is_left(self, command: str) -> None:
        async with mail_server() as there:
            there.answers[command] = None
            error = await failure(at("smtp", there.port, "localhost"))

        assert (error.reason, error.is_final) == ("no answer in time", False)

    async def test_one_that_is_slow_at_each_step_is_left_in_the_end(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(smtp, "STEP_SECONDS", 60)
        monkeypatch.setattr(smtp, "MESSAGE_SECONDS", 0.2)
        async with mail_server() as there:
            there.answers["RCPT"] = None
            error = await failure(at("smtp", there.port, "localhost"))

        assert error.reason == "no answer in time"


@pytest.fixture
async def gibberish() -> AsyncIterator[int]:
    """The port of a server that speaks another language."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(greet, "127.0.0.1", 0)
    yield listener.sockets[0].getsockname()[1]
    listener.close()


async def test_another_language_is_told_as_that(gibberish: int) -> None:
    error = await failure(at("smtp", gibberish, "localhost"))

    assert error.reason == "an answer that is not SMTP"


async def test_an_address_beyond_ascii_needs_a_server_that_takes_it() -> None:
    async with mail_server(takes_utf8=True) as there:
        server = at("smtp", there.port, "localhost")
        assert await send(server, "jürgen@xn--bcher-kva.de", needs_utf8=True) == "250 accepted"
    assert there.received[0].recipient == "jürgen@xn--bcher-kva.de"

    async with mail_server() as there:
        with pytest.raises(NotSent) as caught:
            await send(at("smtp", there.port, "localhost"), "jürgen@x.de", needs_utf8=True)
    assert (caught.value.is_final, there.received) == (True, [])


async def test_trying_out_sends_nothing(trusted: Authority) -> None:
    async with mail_server(starttls=trusted.context_for(NAME), wants_login=True) as there:
        await at("smtp", there.port, login=LOGIN).try_out()

    assert (there.sign_ins, there.received) == ([(b"limen", servers.PASSWORD.encode())], [])
