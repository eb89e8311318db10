"""`limen users`: the accounts, without a server."""

import json
from typing import Any

import bcrypt
import pytest
from click.testing import Result

from tests.cli.conftest import Call
from tests.people import PASSWORD

ADA = "ada@example.com"


def create(call: Call, email: str = ADA, *options: str, stdin: str = PASSWORD) -> dict[str, Any]:
    """Create an account and return it as JSON tells it."""
    result = call("users", "create", email, "--json", *options, stdin=stdin)
    assert result.exit_code == 0, result.stderr
    account: dict[str, Any] = json.loads(result.stdout)
    return account


def test_an_account_is_created_with_a_password_from_standard_input(call: Call) -> None:
    created = create(call, "Ada@Example.com", stdin=f"{PASSWORD}\n")

    assert created["email"] == "Ada@example.com"
    assert created["disabled_at"] is None
    assert json.loads(call("users", "show", ADA, "--json").stdout) == created
    assert json.loads(call("users", "show", created["user_id"], "--json").stdout) == created


def test_only_the_line_end_is_cut_from_a_password(call: Call) -> None:
    create(call, stdin="  spaces are part of it \r\nthis is not\n")

    assert call("users", "set-password", ADA, stdin="\n").exit_code == 1
    assert call("users", "set-password", ADA, stdin=" \t      \n").exit_code == 0


def test_an_account_may_be_given_scopes(call: Call) -> None:
    assert create(call, ADA, "--scope", "admin", "--scope", "billing")["scope"] == "admin billing"


def test_the_first_administrator_is_made_here(call: Call) -> None:
    assert create(call, ADA, "--admin")["scope"] == "admin"
    assert create(call, "b@example.com", "--admin", "--scope", "x")["scope"] == "admin x"
    assert create(call, "c@example.com", "--scope", "admin", "--admin")["scope"] == "admin"


@pytest.mark.parametrize(
    "stored",
    [
        bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(12)).decode(),
        "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$x9TmWMOFmhb4KzTDzsGEUPVwUhGWGLlLyzqwUYwRYeM",
    ],
    ids=["bcrypt", "argon2id"],
)
def test_a_hash_from_another_system_may_stand_for_the_password(call: Call, stored: str) -> None:
    assert create(call, ADA, "--password-hash", stdin=f"{stored}\n")["email"] == ADA


@pytest.mark.parametrize(
    ("words", "stdin", "code"),
    [
        (("no-address",), PASSWORD, "invalid_request"),
        ((ADA,), "password1", "password_refused"),
        ((ADA,), "", "failed"),
        ((ADA,), "\n" + PASSWORD, "failed"),
        ((ADA,), b"\xff\xfe not text", "failed"),
        ((ADA,), "nul\0 in the password", "invalid_request"),
        ((ADA, "--scope", 'a"b'), PASSWORD, "invalid_request"),
        ((ADA, "--scope", "\x1b[2J"), PASSWORD, "invalid_request"),
        ((ADA, "--scope", "a" * 1025), PASSWORD, "invalid_request"),
        ((ADA, "--password-hash"), "$2b$04$too-cheap", "invalid_request"),
    ],
)
def test_what_is_not_acceptable_is_refused_and_not_repeated(
    call: Call, words: tuple[str, ...], stdin: str | bytes, code: str
) -> None:
    result = call("users", "create", *words, "--json", stdin=stdin)

    assert (result.exit_code, result.stdout) == (1, "")
    assert json.loads(result.stderr)["error"]["code"] == code
    assert "password1" not in result.stderr
    assert call("users", "list", "--json").stdout in {"", "[]\n"}


def test_an_address_is_taken_once(call: Call) -> None:
    create(call)

    assert call("users", "create", "ADA@example.com", stdin=PASSWORD).exit_code == 1


def test_accounts_are_listed_a_page_at_a_time(call: Call) -> None:
    created = {create(call, f"user{number}@example.com")["user_id"] for number in range(3)}
    first = json.loads(call("users", "list", "--limit", "2", "--json").stdout)
    assert call("users", "list", "--after", "z").stdout == "There are no more accounts.\n"
    rest = call("users", "list", "--after", first[-1]["user_id"], "--json")

    assert len(first) == 2
    assert {account["user_id"] for account in [*first, *json.loads(rest.stdout)]} == created
    page = call("users", "list", "--limit", "2")
    assert page.stdout.count("@example.com") == 2
    assert f"--after {first[-1]['user_id']}" in page.stderr
    assert call("users", "list").stderr == ""


def test_a_disabled_account_can_be_enabled_again(call: Call) -> None:
    create(call)

    assert json.loads(call("users", "disable", ADA, "--json").stdout)["disabled_at"]
    assert "disabled" in call("users", "list").stdout
    assert json.loads(call("users", "enable", ADA, "--json").stdout)["disabled_at"] is None


@pytest.mark.parametrize(
    "verb",
    [
        *("show", "disable", "enable", "set-password", "end-sessions"),
        *("require-reset", "set-scope", "set-roles", "delete"),
    ],
)
@pytest.mark.parametrize("user", ["nobody@example.com", "0" * 32, "", "\0", "\udcff@x"])
def test_an_unknown_user_fails_in_words(call: Call, verb: str, user: str) -> None:
    create(call)
    result = call("users", verb, user, stdin="another good password")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "limen: There is no such account.\n"


def test_what_was_done_is_said_in_one_line(call: Call) -> None:
    create(call)

    def done(result: Result) -> str:
        assert result.exit_code == 0
        return result.stdout

    assert done(call("users", "end-sessions", ADA)) == f"All sessions of {ADA} have ended.\n"
    assert done(call("users", "disable", ADA)) == f"Disabled {ADA}. Its sessions have ended.\n"
    assert done(call("users", "enable", ADA)) == f"Enabled {ADA}.\n"
    said = done(call("users", "set-password", ADA, stdin="another good password"))
    assert said == f"{ADA} has a new password. Its sessions have ended.\n"


def test_a_command_in_the_wrong_directory_makes_no_database(call: Call) -> None:
    result = call("users", "list")

    assert result.exit_code == 78
    assert "there is no database at" in result.stderr
    assert call("config", "show").stdout  # and nothing has been made:
    assert call("users", "list").exit_code == 78
