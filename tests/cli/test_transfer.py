"""`limen users import` and `limen users export`, as they are typed."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.cli.processes import COMMAND, environment, run
from tests.people import PASSWORD
from tests.transfer.files import DJANGO, DJANGO_DUMP, FASTAPI_USERS, HASH

CSV = f'email,password_hash\nada@example.com,"{HASH}"\n'


def listed(call: Call) -> list[str]:
    result = call("users", "list", "--json")
    return sorted(account["email"] for account in json.loads(result.stdout or "[]"))


def test_a_database_of_fastapi_users_is_imported(call: Call) -> None:
    result = call("users", "import", "--from", "fastapi-users", str(FASTAPI_USERS))

    assert result.exit_code == 0
    assert result.stdout == (
        "Imported 5 accounts.\n"
        "Of these, 1 are disabled.\n"
        "Of these, 1 are superusers of their system.\n"
    )
    assert len(listed(call)) == 5
    again = call("users", "import", "--from", "fastapi-users", str(FASTAPI_USERS))
    assert again.exit_code == 0
    assert again.stdout.endswith("5 have an account already, which is left as it is.\n")


@pytest.mark.parametrize("file", [DJANGO, DJANGO_DUMP], ids=["database", "dump"])
def test_accounts_of_django_are_imported_and_the_others_named(call: Call, file: Path) -> None:
    words = ("users", "import", "--from", "django", str(file), "--superuser-scope", "admin")
    result = call(*words, "--json")
    told = json.loads(result.stdout)

    assert result.exit_code == 1
    assert {name: told[name] for name in told if name != "refused"} == {
        "dry_run": False,
        "imported": 8,
        "without_password": 1,
        "disabled": 1,
        "superusers": 1,
        "there_already": [],
    }
    assert [(one["row"], one["code"]) for one in told["refused"]] == [
        (9, "unknown_hash"),
        (10, "hash_cost"),
        (11, "invalid_email"),
        (12, "duplicate_email"),
    ]
    root = json.loads(call("users", "show", "root@example.com", "--json").stdout)
    assert root["scope"] == "admin"


def test_a_dry_run_says_the_same_and_stores_nothing(call: Call) -> None:
    assert call("users", "create", "linus@example.com", stdin=PASSWORD).exit_code == 0
    words = ("users", "import", "--from", "django", str(DJANGO))
    foretold = call(*words, "--dry-run")
    assert listed(call) == ["linus@example.com"]
    done = call(*words)

    assert foretold.exit_code == done.exit_code == 1
    assert foretold.stdout.replace("Would import", "Imported") == done.stdout
    assert "Row 9 is refused: its password hash is of no scheme that can be checked" in done.stdout
    assert "1 have an account already" in done.stdout


def test_neither_addresses_nor_hashes_are_repeated(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(f"{CSV}eve@\x1b[2J.example,$1$secret\nmallory@example.com,$1$secret\n")
    for words in (["--json"], []):
        result = call("users", "import", "--from", "csv", str(file), "--dry-run", *words)
        for secret in ("eve", "mallory", "secret", "argon2", "\x1b"):
            assert secret not in result.stdout + result.stderr


def test_an_import_may_make_the_database_and_a_dry_run_may_not(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "accounts.csv"
    file.write_text(CSV)
    words = ("users", "import", "--from", "csv", str(file))

    assert call(*words, "--dry-run").exit_code == 78
    assert call(*words).exit_code == 0
    assert listed(call) == ["ada@example.com"]


def test_lines_come_from_standard_input_and_go_to_standard_output(call: Call) -> None:
    assert call("users", "import", "--from", "csv", "-", stdin=CSV).exit_code == 0
    exported = call("users", "export", "--with-hashes").stdout
    (line,) = exported.splitlines()
    assert json.loads(line)["password_hash"] == HASH
    as_one = call("users", "export", "--with-hashes", "--json").stdout
    assert json.loads(as_one) == [json.loads(line)]

    result = call("users", "import", "--from", "jsonl", "-", "--json", stdin=exported)
    assert json.loads(result.stdout)["there_already"] == [1]


def test_without_being_asked_no_hash_is_exported(call: Call) -> None:
    assert call("users", "import", "--from", "csv", "-", stdin=CSV).exit_code == 0

    assert "argon2" not in call("users", "export").stdout
    (account,) = json.loads(call("users", "export", "--json").stdout)
    assert "password_hash" not in account


def test_no_accounts_are_no_lines_and_an_empty_document(call: Call) -> None:
    assert call("users", "import", "--from", "csv", "-", stdin="email,password_hash").exit_code == 0

    assert call("users", "export").stdout == ""
    assert json.loads(call("users", "export", "--json").stdout) == []


@pytest.mark.parametrize(
    ("words", "stdin", "code"),
    [
        (("--from", "csv", "-", "--table", "user"), CSV, 2),
        (("--from", "django", "-"), "", 2),
        (("--from", "keycloak", "-"), "", 2),
        (("-",), CSV, 2),
        (("--from", "csv", "nowhere.csv"), "", 2),
        (("--from", "csv", "-"), "ada@example.com,!\n", 1),
        (("--from", "csv", "-", "--superuser-scope", 'a"b'), CSV, 1),
        (("--from", "fastapi-users", str(DJANGO)), "", 1),
        (("--from", "fastapi-users", str(DJANGO_DUMP)), "", 1),
        (("--from", "django", str(FASTAPI_USERS)), "", 1),
        (("--from", "django", str(DJANGO), "--table", "no_such"), "", 1),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    call: Call, words: tuple[str, ...], stdin: str, code: int
) -> None:
    result = call("users", "import", *words, "--json", stdin=stdin)

    assert (result.exit_code, result.stdout) == (code, "")
    assert json.loads(result.stderr)["error"]["detail"]
    assert "ada@example.com" not in result.stderr


def test_an_export_that_cannot_be_written_fails_in_words(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert run(data, "users", "import", "--from", "csv", "-", stdin=CSV).returncode == 0
    with Path("/dev/full").open("w") as full:
        told = subprocess.run(
            [*COMMAND, "users", "export"],
            env=environment(data),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert told.returncode == 1
    assert "The output cannot be written" in told.stderr
    assert "Traceback" not in told.stderr
