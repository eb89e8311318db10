"""`limen users invite`, without a server."""

import json

import pytest

from tests.cli.conftest import Call
from tests.people import PASSWORD

ADA = "ada@example.com"


def test_an_invitation_says_whom_and_where_the_mail_is(call: Call) -> None:
    result = call("users", "invite", "Ada@Example.com")

    assert result.exit_code == 0
    first, second = result.stdout.splitlines()
    assert first.startswith("Invited Ada@example.com, user_id ")
    assert "/dev/inbox" in second
    assert "invite=" not in result.stdout


def test_the_link_is_shown_to_whoever_asks_for_it(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMEN_PUBLIC_URL", "https://login.example.com")
    shown = json.loads(call("users", "invite", ADA, "--show-link", "--json").stdout)

    assert shown.keys() == {"user_id", "email", "link"}
    assert shown["link"].startswith("https://login.example.com/account#invite=")
    again = call("users", "invite", ADA, "--show-link").stdout
    assert again.splitlines()[1].startswith("https://login.example.com/account#invite=")
    assert shown["link"] not in again
    assert "link" not in json.loads(call("users", "invite", ADA, "--json").stdout)


def test_where_mail_is_configured_nothing_is_said_of_an_inbox(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMEN_SMTP_URL", "smtp://127.0.0.1:9")
    monkeypatch.setenv("LIMEN_MAIL_FROM", "no-reply@example.com")
    result = call("users", "invite", ADA)

    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 1)


def test_scopes_and_roles_are_those_of_the_account(call: Call) -> None:
    words = ("--scope", "billing", "--scope", "reports", "--role", "accountant")
    assert call("users", "invite", ADA, *words).exit_code == 0

    assert json.loads(call("users", "show", ADA, "--json").stdout)["scope"] == "billing reports"


def test_whoever_has_an_account_is_not_invited(call: Call) -> None:
    call("users", "create", ADA, stdin=PASSWORD)
    result = call("users", "invite", ADA)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "limen: There is already an account with this e-mail address.\n"


def test_where_nobody_may_register_nobody_is_invited(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMEN_REGISTRATION", "closed")
    result = call("users", "invite", ADA, "--json")

    assert (result.exit_code, result.stdout) == (1, "")
    assert json.loads(result.stderr)["error"]["code"] == "failed"
