"""Mail from its cause to the mail server, which is real and has its moods."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from limen.clock import SECOND
from limen.codes import Code
from limen.database.schema import outbox as table
from limen.errors import ConfigurationError
from limen.events import Event, Posted
from limen.limen import Limen
from limen.mail import MESSAGES
from limen.outbox import LEASE, PAUSES
from limen.settings import Settings
from tests.clock import ManualClock
from tests.conftest import on_sqlite
from tests.mail_server import MailServer, mail_server
from tests.mailbox import sent
from tests.running import running
from tests.stored import rows

pytestmark = pytest.mark.anyio

CODE = Code(token="A7xQ" * 6, digits="618034")


@pytest.fixture
def port() -> int:
    """The port of the mail server, where nobody listens yet."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        found: int = free.getsockname()[1]
    return found


@pytest.fixture
async def server(port: int) -> AsyncIterator[MailServer]:
    async with mail_server(MailServer(port)) as server:
        yield server


@pytest.fixture
def settings(tmp_path: Path, database_url: str, port: int) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        signing_algorithm="ES256",
        public_url="https://login.example.com/sso",
        service_name="Orders",
        smtp_url=f"smtp://localhost:{port}",
        mail_from="Orders <no-reply@example.com>",
    )


async def post(
    limen: Limen, message: Any = "reset", to: str = "ada@example.com", **how: Any
) -> None:
    async with limen.features.log.change() as change:
        await limen.features.mail.post(change, message, to, **how)


async def outcome(limen: Limen) -> tuple[str, str | None, int]:
    (row,) = await rows(limen, table)
    return row.outcome, row.answer, row.attempts


async def test_a_mail_arrives_with_link_and_code(limen: Limen, server: MailServer) -> None:
    await post(limen, code=CODE, useful_for=3600)
    await sent(limen)

    (received,) = server.received
    message, text = received.message, received.text()
    assert (received.sender, received.recipient) == ("no-reply@example.com", "ada@example.com")
    assert message["From"] == "Orders <no-reply@example.com>"
    assert message["To"] == "ada@example.com"
    assert message["Subject"] == "Choose a new password for Orders"
    assert message["Auto-Submitted"] == "auto-generated"
    link = f"https://login.example.com/sso/account#reset={CODE.token}"
    for written in (text, received.text("html")):
        assert link in written
        assert CODE.digits in written
        assert "good for 1 hour" in written.replace("\r\n", " ").replace("\n", " ")
    assert await outcome(limen) == ("delivered", "250 accepted", 1)


async def test_its_id_and_date_are_those_of_the_letter(
    limen: Limen, server: MailServer, clock: ManualClock
) -> None:
    await post(limen, "test")
    await sent(limen)

    (row,), message = await rows(limen, table), server.received[0].message
    assert message["Message-ID"] == f"<{row.id}@login.example.com>"
    assert int(message["Date"].datetime.timestamp()) == clock() // SECOND


async def test_every_message_arrives_with_a_code_or_without(
    limen: Limen, server: MailServer
) -> None:
    async with limen.features.log.change() as change:
        for message in MESSAGES:
            for code in (CODE, None):
                await limen.features.mail.post(change, message, "ada@example.com", code=code)
    await sent(limen)

    assert len(server.received) == 2 * len(MESSAGES)
    assert len({received.message["Message-ID"] for received in server.received}) == 2 * len(
        MESSAGES
    )
    for received in server.received:
        assert "{" not in received.text() + received.text("html")
        assert len(received.message["Subject"]) < 60


async def test_a_server_that_is_away_gets_it_when_it_is_back(
    limen: Limen, clock: ManualClock, port: int
) -> None:
    """Each try comes later than the one before."""
    await post(limen)
    for number, pause in enumerate(PAUSES[:3], 1):
        await sent(limen)
        assert await outcome(limen) == ("waiting", "cannot be reached", number)
        clock.tick(pause)
    async with mail_server(MailServer(port)) as back:
        await sent(limen)
        clock.tick(86400)
        await sent(limen)

    assert len(back.received) == 1
    assert await outcome(limen) == ("delivered", "250 accepted", 4)


async def test_one_that_stays_away_is_given_up_when_the_mail_is_no_use(
    limen: Limen, clock: ManualClock, happened: list[Event]
) -> None:
    await post(limen, useful_for=sum(PAUSES[:3]) + PAUSES[3] - 1)
    for pause in PAUSES[:4]:
        await sent(limen)
        clock.tick(pause)

    outcomes = [event.outcome for event in happened if isinstance(event, Posted)]
    assert outcomes == ["retried", "retried", "retried", "failed"]
    (row,) = await rows(limen, table)
    assert row.sealed is None


async def test_a_refusal_of_the_recipient_is_final_and_a_delay_is_not(
    limen: Limen, server: MailServer, clock: ManualClock
) -> None:
    server.answers["RCPT"] = "450 4.2.0 <ada@example.com> greylisted"
    await post(limen)
    await sent(limen)
    assert await outcome(limen) == ("waiting", "450 recipient refused", 1)

    server.answers["RCPT"] = "550 5.1.1 <ada@example.com> nobody"
    clock.tick(PAUSES[0])
    await sent(limen)
    assert await outcome(limen) == ("failed", "550 recipient refused", 2)
    assert server.received == []


@on_sqlite
async def test_no_log_line_names_the_mailbox_or_the_code(
    limen: Limen, server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers["RCPT"] = "550 5.1.1 <ada@example.com> nobody"
    with caplog.at_level(logging.DEBUG, "limen"):
        await post(limen, code=CODE)
        await sent(limen)

    told = [str(vars(record)) for record in caplog.records if record.name.startswith("limen")]
    assert any("'failed'" in line for line in told)
    assert not [line for line in told if "ada@" in line or CODE.token in line or "618034" in line]


async def test_two_processes_send_each_mail_once(
    limen: Limen, twin: Limen, server: MailServer
) -> None:
    for number in range(12):
        await post(limen if number % 2 else twin, to=f"person{number}@example.com")
    await asyncio.gather(sent(limen), sent(twin))

    assert sorted(received.recipient for received in server.received) == sorted(
        f"person{number}@example.com" for number in range(12)
    )
    assert len({received.message["Message-ID"] for received in server.received}) == 12


async def test_a_process_that_dies_while_sending_leaves_the_mail_to_the_next(
    settings: Settings, server: MailServer, clock: ManualClock
) -> None:
    """It may have arrived: then it comes a second time, with the same id."""
    server.answers["DATA"] = None
    async with running(settings, clock) as dying:
        await post(dying)
        while not server.connections:  # noqa: ASYNC110  its background has taken it
            await asyncio.sleep(0.01)
    server.answers.clear()

    async with running(settings, clock) as heir:
        await sent(heir)
        assert await outcome(heir) == ("waiting", None, 1)
        clock.tick(LEASE / SECOND)
        await sent(heir)
        assert await outcome(heir) == ("delivered", "250 accepted", 2)
    assert len(server.received) == 1


class TestNowhere:
    @pytest.fixture
    def settings(self, tmp_path: Path, database_url: str) -> Settings:
        return Settings(
            data_dir=tmp_path / "data",
            database_url=database_url,
            signing_algorithm="ES256",
            public_url="https://login.example.com",
        )

    async def test_mail_fails_with_the_reason(self, limen: Limen) -> None:
        await post(limen)
        await sent(limen)

        assert await outcome(limen) == (
            *("failed", "there is no mail server: LIMEN_SMTP_URL names one", 1),
        )

    async def test_the_start_says_so(
        self, settings: Settings, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with Limen(settings).lifespan():
            pass

        assert "mail is not sent at all: LIMEN_SMTP_URL names no mail server" in caplog.messages


@on_sqlite
async def test_a_wrong_template_is_found_at_the_start(settings: Settings, tmp_path: Path) -> None:
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "reset.txt").write_text("Subject: Hello\n\n{{ lnik }}\n")
    wrong = replace(settings, mail_templates=templates)

    with pytest.raises(ConfigurationError) as caught:
        async with Limen(wrong).lifespan():
            pass
    assert "LIMEN_MAIL_TEMPLATES: reset.txt, line 3: 'lnik' is undefined" in caught.value.detail
