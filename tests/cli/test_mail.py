"""`limen mail`: sending now, and what became of what was to be sent."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from limen import smtp
from limen.deliveries import LATE
from tests import mail_server as servers
from tests.cli.conftest import Call
from tests.mail_server import MailServer, mail_server_elsewhere
from tests.people import PASSWORD

ADDRESS = "ada@example.com"
COLUMNS = ("id", "kind", "subject", "state", "attempts", "created_at", "next_try_at", "answer")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, data: Path) -> Iterator[MailServer]:
    """A mail server of which the environment knows; `data` has emptied that before."""
    assert not data.exists()
    with mail_server_elsewhere(wants_login=True) as server:
        monkeypatch.setenv("LIMEN_SMTP_URL", url(server))
        monkeypatch.setenv("LIMEN_MAIL_FROM", "Orders <no-reply@example.com>")
        yield server


def url(server: MailServer, password: str = servers.PASSWORD) -> str:
    return f"smtp://{servers.LOGIN}:{quote(password, safe='')}@localhost:{server.port}"


class TestTest:
    def test_it_sends_now_and_tells_the_answer(
        self, call: Call, server: MailServer, data: Path
    ) -> None:
        result = call("mail", "test", ADDRESS)

        assert result.exit_code == 0, result.stderr
        assert result.stdout == (f"localhost:{server.port}: 250 accepted (2.0.0 Ok: queued)\n")
        (received,) = server.received
        assert (received.recipient, received.login) == (ADDRESS, servers.LOGIN)
        assert received.message["Subject"] == "limen can send mail"
        assert not data.exists()

    def test_a_program_is_told_too(self, call: Call, server: MailServer) -> None:
        result = call("mail", "test", ADDRESS, "--json")

        assert json.loads(result.stdout) == {
            "server": f"localhost:{server.port}",
            "answer": "250 accepted",
            "said": "2.0.0 Ok: queued",
        }

    def test_a_wrong_password_is_told_with_a_way_out(
        self, call: Call, server: MailServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LIMEN_SMTP_URL", url(server, "hunter2-wrong"))
        result = call("mail", "test", ADDRESS)

        assert (result.exit_code, result.stdout) == (1, "")
        assert "535 sign-in refused" in result.stderr
        assert "check the user and the password in LIMEN_SMTP_URL" in result.stderr
        assert "hunter2" not in result.stderr

    def test_a_server_without_tls_is_told_with_a_way_out(
        self, call: Call, server: MailServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LIMEN_SMTP_URL", url(server).replace("smtp://", "smtps://"))
        result = call("mail", "test", ADDRESS)

        assert (result.exit_code, result.stdout) == (1, "")
        assert "no TLS at this port" in result.stderr
        assert "smtp:// is for servers that begin without TLS" in result.stderr

    def test_a_refusal_is_told_in_the_servers_words(self, call: Call, server: MailServer) -> None:
        server.answers["RCPT"] = f"550 5.1.1 <{ADDRESS}>: \x1b[2Jnobody here"
        result = call("mail", "test", ADDRESS)

        assert (result.exit_code, result.stdout) == (1, "")
        assert f"550 recipient refused (5.1.1 <{ADDRESS}>: \\x1b[2Jnobody here)" in result.stderr

    def test_a_server_that_hangs_is_told_after_a_while(
        self, call: Call, server: MailServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(smtp, "STEP_SECONDS", 0.3)
        server.answers["DATA"] = None

        assert "no answer in time" in call("mail", "test", ADDRESS).stderr

    def test_a_server_that_is_down_is_told(
        self, call: Call, data: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert not data.exists()
        monkeypatch.setenv("LIMEN_SMTP_URL", "smtp://localhost:9")

        assert "localhost:9: cannot be reached" in call("mail", "test", ADDRESS).stderr

    def test_without_a_server_the_setting_is_named(self, call: Call) -> None:
        result = call("mail", "test", ADDRESS)

        assert result.exit_code == 78
        assert result.stderr.startswith("limen: LIMEN_SMTP_URL: ")

    def test_what_is_no_address_is_refused(self, call: Call, server: MailServer) -> None:
        result = call("mail", "test", "ada")

        assert (result.exit_code, server.received) == (1, [])
        assert "not an e-mail address" in result.stderr or "exactly one @" in result.stderr

    def test_a_wrong_template_is_told(
        self, call: Call, server: MailServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "test.txt").write_text("Hello")
        monkeypatch.setenv("LIMEN_MAIL_TEMPLATES", str(tmp_path))
        result = call("mail", "test", ADDRESS)

        assert (result.exit_code, server.received) == (78, [])
        assert "LIMEN_MAIL_TEMPLATES: " in result.stderr


class TestOutbox:
    @pytest.fixture(autouse=True)
    def letters(self, call: Call, data: Path) -> None:
        """A letter of each outcome, put there as a server would have left them."""
        call("users", "create", ADDRESS, stdin=PASSWORD)
        now = time.time_ns() // 1000
        rows = [
            ("a" * 32, "mail", "reset", "waiting", 1, now, now + 5_000_000, None, "450 refused"),
            ("b" * 32, "mail", "verify", "failed", 2, now - 9, None, now, "550 refused"),
            ("c" * 32, "request", "forgot", "delivered", 1, now - 99, None, now, "sent a code"),
        ]
        with closing(sqlite3.connect(data / "limen.db", isolation_level=None)) as connection:
            connection.executemany(
                "INSERT INTO outbox (id, kind, subject, outcome, attempts, created_at, due_at, "
                "finished_at, answer, sealed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, x'00')",
                rows,
            )

    def listed(self, call: Call, *options: str) -> list[dict[str, Any]]:
        result = call("mail", "outbox", "--json", *options)
        assert result.exit_code == 0, result.stderr
        found: list[dict[str, Any]] = json.loads(result.stdout)
        return found

    def test_what_waits_and_what_was_given_up_is_shown(self, call: Call) -> None:
        waiting, failed = self.listed(call)

        assert set(waiting) == {*COLUMNS, "finished_at"}
        assert (waiting["subject"], waiting["state"], waiting["attempts"]) == (
            *("reset", "waiting", 1),
        )
        assert waiting["next_try_at"] > waiting["created_at"]
        assert (failed["state"], failed["next_try_at"]) == ("failed", None)
        assert failed["answer"] == "550 refused"

    def test_all_of_it_if_asked_for(self, call: Call) -> None:
        assert [one["id"][0] for one in self.listed(call, "--all")] == ["a", "b", "c"]
        assert [one["id"][0] for one in self.listed(call, "--all", "--limit", "1")] == ["a"]

    def test_a_person_is_shown_a_table(self, call: Call) -> None:
        head, *lines = call("mail", "outbox").stdout.splitlines()

        assert head.split() == [
            *("ID", "KIND", "SUBJECT", "STATE", "TRIES", "CREATED", "NEXT", "TRY", "ANSWER"),
        ]
        assert [line.split()[3] for line in lines] == ["waiting", "failed"]
        assert lines[0].endswith("450 refused")

    def test_doctor_names_what_was_given_up_and_what_is_overdue(
        self, call: Call, data: Path
    ) -> None:
        assert "warning  outbox           1 letters wait, 1 were given up" in call("doctor").stdout
        with closing(sqlite3.connect(data / "limen.db", isolation_level=None)) as connection:
            connection.execute("UPDATE outbox SET due_at = due_at - ?", [2 * LATE])

        assert "1 of 1 letters are overdue: does 'limen serve' run?" in call("doctor").stdout


def test_an_empty_outbox_is_told_as_that(call: Call) -> None:
    call("users", "create", ADDRESS, stdin=PASSWORD)

    assert call("mail", "outbox").stdout == "Nothing waits, and nothing was given up.\n"
    assert call("mail", "outbox", "--all").stdout == "There are no letters.\n"
    assert json.loads(call("mail", "outbox", "--json").stdout) == []


class TestDoctor:
    def said(self, call: Call) -> tuple[str, str]:
        checks = json.loads(call("doctor", "--json").stdout)
        (found,) = [check for check in checks if check["name"] == "mail"]
        return found["verdict"], found["says"]

    def test_a_server_that_lets_us_in_is_well(self, call: Call, server: MailServer) -> None:
        assert self.said(call) == ("ok", f"localhost:{server.port} lets us in")
        assert (len(server.sign_ins), server.received) == (1, [])

    def test_one_that_does_not_fails(
        self, call: Call, server: MailServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LIMEN_SMTP_URL", url(server, "wrong"))
        verdict, says = self.said(call)

        assert (verdict, "535 sign-in refused" in says) == ("failed", True)

    def test_a_sender_that_nobody_chose_is_a_warning(
        self, call: Call, server: MailServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert server.port
        monkeypatch.delenv("LIMEN_MAIL_FROM")

        assert self.said(call)[0] == "warning"

    def test_on_this_machine_the_inbox_is_named(self, call: Call) -> None:
        assert self.said(call) == (
            "ok",
            "not sent: read it at http://localhost:8000/dev/inbox",
        )

    def test_in_production_mail_that_goes_nowhere_is_a_warning(
        self, call: Call, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LIMEN_PUBLIC_URL", "https://login.example.com")

        assert self.said(call)[0] == "warning"
