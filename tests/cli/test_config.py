"""`limen config`: every option as it stands, and whether all of it is good."""

import json
from pathlib import Path

import pytest

from limen.settings import Settings
from tests.cli.conftest import Call

SECRET = "Zq3vJt8nKx0pRw5yBd7fGh2mLs9cTu4e"


def test_every_option_is_shown_with_value_source_and_reason(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMEN_AUDIENCE", "shop")
    shown = {
        option["variable"]: option for option in json.loads(call("config", "show", "--json").stdout)
    }

    assert set(shown) == {option.variable for option in Settings().describe()}
    assert shown["LIMEN_AUDIENCE"]["value"] == "shop"
    assert shown["LIMEN_AUDIENCE"]["source"] == "environment"
    assert shown["LIMEN_LOGIN_LIMIT"]["source"] == "default"
    assert all(option["reason"] for option in shown.values())
    assert "LIMEN_AUDIENCE=shop  (environment)\n" in call("config", "show").stdout


def test_secrets_are_hidden(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMEN_SECRET", SECRET)

    assert SECRET not in call("config", "show").stdout
    assert SECRET not in call("config", "show", "--json").stdout


def test_good_settings_exit_with_0_and_make_nothing(call: Call, data: Path) -> None:
    assert call("config", "check").stdout == "The configuration is good.\n"
    assert json.loads(call("config", "check", "--json").stdout) == {"ok": True}
    assert not data.exists()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LIMEN_LOGIN_LIMIT", "many"),
        ("LIMEN_SECRET", "changeme"),
        ("LIMEN_PUBLIC_URL", "http://login.example.com"),
        ("LIMEN_LOGIN_LIMT", "5 per 15m"),
        ("LIMEN_DATABASE_URL", "postgresql://somebody:hunter2@db"),
    ],
)
def test_a_mistake_exits_with_78_and_names_the_variable_in_one_line(
    call: Call, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    result = call("config", "check")

    assert (result.exit_code, result.stdout) == (78, "")
    assert result.stderr.startswith(f"limen: {variable}: ")
    assert "; for example " in result.stderr
    assert result.stderr.count("\n") == 1
    assert "hunter2" not in result.stderr


def test_a_secret_file_that_others_can_read_is_a_mistake(call: Call, data: Path) -> None:
    call("users", "create", "ada@example.com", stdin="a fine password")
    (data / "secret").chmod(0o644)

    assert call("config", "check").exit_code == 78
