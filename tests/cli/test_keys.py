"""`limen keys`: what signs, what will sign, and never a private part."""

import json

import pytest

from tests.cli.conftest import Call
from tests.people import PASSWORD


def test_a_new_key_is_next_and_the_present_one_signs_on(call: Call) -> None:
    call("users", "create", "ada@example.com", stdin=PASSWORD)
    made = json.loads(call("keys", "rotate", "--json").stdout)
    listed = json.loads(call("keys", "list", "--json").stdout)

    assert made["state"] == "next"
    assert made["signs_from"] > made["created_at"]
    assert [key["state"] for key in listed] == ["current", "next"]
    assert listed[1] == made
    assert listed[0]["retires_at"] > made["signs_from"]


def test_in_an_emergency_the_new_key_is_current_and_the_others_have_retired(call: Call) -> None:
    call("users", "create", "ada@example.com", stdin=PASSWORD)
    call("keys", "rotate")
    made = json.loads(call("keys", "rotate", "--emergency", "--json").stdout)
    listed = json.loads(call("keys", "list", "--json").stdout)

    assert made["state"] == "current"
    assert sorted(key["state"] for key in listed) == ["current", "retired", "retired"]
    assert "refused" in call("keys", "rotate", "--emergency").stdout


def test_keys_are_shown_without_their_private_parts(call: Call) -> None:
    call("users", "create", "ada@example.com", stdin=PASSWORD)
    shown = json.loads(call("keys", "list", "--json").stdout)
    lines = call("keys", "list").stdout.splitlines()

    members = {"kid", "algorithm", "state", "created_at", "signs_from", "retires_at"}
    assert set(shown[0]) == members
    assert lines[0].split() == ["KID", "ALGORITHM", "STATE", "CREATED", "SIGNS", "FROM", "RETIRES"]
    assert shown[0]["kid"] in lines[1]
    assert "It signs from 2" in call("keys", "rotate").stdout


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["users", "list"], id="looking"),
        pytest.param(["users", "disable", "ada@example.com"], id="changing an account"),
        pytest.param(["token", "inspect"], id="inspecting"),
    ],
)
def test_a_shell_without_the_servers_settings_changes_no_key(
    call: Call, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    call("users", "create", "ada@example.com", stdin=PASSWORD)
    before = call("keys", "list", "--json").stdout
    monkeypatch.delenv("LIMEN_SIGNING_ALGORITHM")

    assert call(*words, stdin="no token").exit_code == 0
    assert call("keys", "list", "--json").stdout == before


def test_a_rotation_keeps_the_algorithm_whatever_the_shell_lacks(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("users", "create", "ada@example.com", stdin=PASSWORD)
    monkeypatch.delenv("LIMEN_SIGNING_ALGORITHM")
    call("keys", "rotate")

    algorithms = [key["algorithm"] for key in json.loads(call("keys", "list", "--json").stdout)]
    assert algorithms == ["ES256", "ES256"]
