"""`limen clients`: the secret is shown once, and never again."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Call
from tests.people import PASSWORD


@pytest.fixture(autouse=True)
def database(call: Call) -> None:
    call("users", "create", "ada@example.com", stdin=PASSWORD)


def create(call: Call, name: str = "orders") -> dict[str, Any]:
    result = call("clients", "create", name, "--json")
    assert result.exit_code == 0, result.stderr
    made: dict[str, Any] = json.loads(result.stdout)
    return made


def test_a_person_is_shown_the_id_and_the_secret(call: Call) -> None:
    result = call("clients", "create", "orders")
    names = [line.split()[0] for line in result.stdout.splitlines()]

    assert names == ["client_id", "client_secret"]
    assert "it cannot be shown again" in result.stderr


def test_the_secret_is_shown_once(call: Call, data: Path) -> None:
    made = create(call)
    listed = call("clients", "list", "--json")

    assert set(made) == {"client_id", "name", "created_at", "client_secret"}
    assert json.loads(listed.stdout) == [
        {name: made[name] for name in ("client_id", "name", "created_at")}
    ]
    assert made["client_secret"] not in call("clients", "list").stdout
    assert not any(made["client_secret"].encode() in file.read_bytes() for file in data.iterdir())


def test_clients_are_listed_with_their_names(call: Call) -> None:
    assert call("clients", "list").stdout == "There are no clients.\n"
    made = create(call, "orders of today")
    head, line = call("clients", "list").stdout.splitlines()

    assert head.split() == ["CLIENT_ID", "NAME", "CREATED"]
    assert line.split("  ")[:2] == [made["client_id"], "orders of today"]


def test_a_deleted_client_is_gone(call: Call) -> None:
    first, second = create(call), create(call)

    assert call("clients", "delete", first["client_id"]).exit_code == 0
    left = [one["client_id"] for one in json.loads(call("clients", "list", "--json").stdout)]
    assert left == [second["client_id"]]


@pytest.mark.parametrize("client_id", ["0" * 32, "orders", "", "\0", "%"])
def test_who_is_not_there_cannot_be_deleted(call: Call, client_id: str) -> None:
    create(call)
    result = call("clients", "delete", client_id)

    assert result.exit_code == 1
    assert "limen clients list" in result.stderr
    assert len(json.loads(call("clients", "list", "--json").stdout)) == 1


def test_a_name_that_cannot_be_read_is_refused(call: Call) -> None:
    result = call("clients", "create", "\x1b[2J")

    assert (result.exit_code, result.stdout) == (1, "")
