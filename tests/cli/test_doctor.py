"""`limen doctor`: what is wrong is found, and nothing is made or changed."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from limen.cli import checks
from tests.cli.conftest import Call

OTHER_SECRET = "Zq3vJt8nKx0pRw5yBd7fGh2mLs9cTu4e"

ALL = [
    "settings",
    "public URL",
    "trusted proxies",
    "data directory",
    "secret",
    "disk space",
    "database",
    "schema",
    "journal",
    "signing keys",
    "clock",
    "revocation log",
    "rows",
    "expired rows",
]


def verdicts(call: Call) -> tuple[int, dict[str, str]]:
    """Return the exit code and each check's verdict."""
    result = call("doctor", "--json")
    return result.exit_code, {
        check["name"]: check["verdict"] for check in json.loads(result.stdout)
    }


def statement(sql: str) -> Callable[[Path], None]:
    """Return a way to break a limen: run a statement on its database."""

    def run(data: Path) -> None:
        with closing(sqlite3.connect(data / "limen.db", isolation_level=None)) as connection:
            connection.execute(sql)

    return run


@pytest.fixture
def used(call: Call, data: Path) -> Path:
    """The data directory of a limen that has been used."""
    assert call("users", "create", "ada@example.com", stdin="a fine password").exit_code == 0
    return data


def test_a_limen_in_order_passes_every_check(call: Call, used: Path) -> None:
    code, found = verdicts(call)

    assert used.exists()
    assert code == 0
    assert list(found) == ALL
    assert found.pop("public URL") == "warning"
    assert set(found.values()) == {"ok"}
    assert len(call("doctor").stdout.splitlines()) == len(ALL)


def test_production_behind_a_proxy_is_reminded_of_it(
    call: Call, used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert used.exists()
    monkeypatch.setenv("LIMEN_PUBLIC_URL", "https://login.example.com")
    code, found = verdicts(call)
    assert (code, found["public URL"], found["trusted proxies"]) == (0, "ok", "warning")

    monkeypatch.setenv("LIMEN_TRUSTED_PROXIES", "10.0.0.1")
    assert verdicts(call)[1]["trusted proxies"] == "ok"


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (lambda data: data.chmod(0o755), "data directory"),
        (lambda data: (data / "secret").chmod(0o640), "secret"),
        (lambda data: (data / "secret").write_text("short"), "secret"),
        (lambda data: (data / "secret").write_text(OTHER_SECRET), "signing keys"),
        (lambda data: (data / "limen.db").unlink(), "database"),
        (lambda data: (data / "limen.db").write_bytes(b"garbage" * 500), "database"),
        (statement("UPDATE alembic_version SET version_num = '9999'"), "schema"),
        (statement("UPDATE signing_keys SET created_at = 4102444800000000"), "clock"),
    ],
    ids=["open directory", "open secret", "weak secret", "other secret", "no database", "no SQLite",
         "other schema", "clock set back"],
)  # fmt: skip
def test_a_fault_fails_its_check(
    call: Call, used: Path, fault: Callable[[Path], None], name: str
) -> None:
    fault(used)
    code, found = verdicts(call)

    assert code == 1
    assert [name for name, verdict in found.items() if verdict == "failed"] == [name]


def test_a_wrong_setting_is_the_first_check(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMEN_DOCS", "perhaps")

    assert verdicts(call) == (1, {"settings": "failed"})


@pytest.mark.parametrize(("limit", "verdict"), [("LOW_DISK", "warning"), ("NO_DISK", "failed")])
def test_a_disk_that_is_nearly_full_is_noticed(
    call: Call, used: Path, monkeypatch: pytest.MonkeyPatch, limit: str, verdict: str
) -> None:
    assert used.exists()
    monkeypatch.setattr(checks, limit, 1 << 60)

    assert verdicts(call)[1]["disk space"] == verdict


def test_rows_that_nobody_sweeps_are_noticed(
    call: Call, used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statement("INSERT INTO revocations VALUES (98, 'session', 'x', 0, 1)")(used)
    statement("INSERT INTO revocations VALUES (99, 'session', 'y', 0, 4102444800)")(used)
    assert "expired rows     1 wait to be swept\n" in call("doctor").stdout

    monkeypatch.setattr(checks, "MANY_EXPIRED", 0)
    assert verdicts(call)[1]["expired rows"] == "warning"


def test_nothing_is_made_where_nothing_is(call: Call, data: Path) -> None:
    code, found = verdicts(call)

    assert code == 1
    assert {name for name, verdict in found.items() if verdict == "failed"} == {
        "data directory",
        "secret",
        "database",
    }
    assert not data.exists()
