"""`limen passwords`: the list of those that nobody may choose."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.people import PASSWORD

ADA = "ada@example.com"


@pytest.fixture
def listed(tmp_path: Path) -> str:
    path = tmp_path / "list"
    path.write_text("Acme Rockets 1971\nshort\nacme rockets 1971\n")
    return str(path)


def test_a_list_is_imported_counted_and_emptied(call: Call, listed: str) -> None:
    assert call("users", "create", ADA, stdin=PASSWORD).exit_code == 0
    said = call("passwords", "import-blocklist", listed, "--json")
    assert json.loads(said.stdout) == {"added": 1, "known": 1, "passed_over": 1}
    again = call("passwords", "import-blocklist", listed).stdout
    assert again.startswith("Added 0 passwords; 2 were on the list already.\nPassed over 1 lines")

    shown = json.loads(call("passwords", "blocklist", "--json").stdout)
    assert shown["count"] == 1
    assert shown["since"].endswith("Z")
    assert call("passwords", "blocklist").stdout.startswith("count  1\nsince  20")
    refused = call("users", "set-password", ADA, "--json", stdin="ACME rockets 1971")
    assert json.loads(refused.stderr)["error"]["code"] == "password_refused"

    assert call("passwords", "clear-blocklist").stdout == "Removed 1 passwords.\n"
    assert call("passwords", "blocklist").stdout == "count  0\n"
    assert call("users", "set-password", ADA, stdin="ACME rockets 1971").exit_code == 0


def test_a_list_may_come_from_standard_input(call: Call) -> None:
    assert call("users", "create", ADA, stdin=PASSWORD).exit_code == 0
    said = call("passwords", "import-blocklist", "-", stdin="Acme Rockets 1971")

    assert said.stdout == "Added 1 passwords; 0 were on the list already.\n"


def test_a_file_that_is_not_there_is_a_wrong_call(call: Call, tmp_path: Path) -> None:
    result = call("passwords", "import-blocklist", str(tmp_path / "none"))

    assert result.exit_code == 2
