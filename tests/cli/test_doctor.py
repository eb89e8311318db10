"""`limen doctor`: what is wrong is found, and nothing is made or changed."""

import json
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from limen.cli import checks, growth, sqlite
from limen.cli.output import moment
from limen.clock import SECOND, system_clock
from limen.sweep import Waiting
from tests.cli.conftest import Call

OTHER_SECRET = "Zq3vJt8nKx0pRw5yBd7fGh2mLs9cTu4e"

ALL = [
    "settings",
    "public URL",
    "trusted proxies",
    "mail",
    "huge pages",
    "data directory",
    "secret",
    "disk space",
    "database",
    "schema",
    "journal",
    "tables",
    "signing keys",
    "clock",
    "outbox",
    "revocation log",
    "rows",
    "expired rows",
    "oldest expired",
]


def verdicts(call: Call) -> tuple[int, dict[str, str]]:
    """Return the exit code and each check's verdict."""
    result = call("doctor", "--json")
    return result.exit_code, {
        check["name"]: check["verdict"] for check in json.loads(result.stdout)
    }


def statement(sql: str, *values: object) -> Callable[[Path], None]:
    """Return a way to break a limen: run a statement on its database."""

    def run(data: Path) -> None:
        with closing(sqlite3.connect(data / "limen.db", isolation_level=None)) as connection:
            connection.execute(sql, values)

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

    monkeypatch.setattr(growth, "MANY_EXPIRED", 0)
    assert verdicts(call)[1]["expired rows"] == "warning"


def test_the_oldest_expired_row_is_dated_and_a_late_one_is_a_warning(
    call: Call, used: Path
) -> None:
    now = int(time.time())
    assert "oldest expired   none waits\n" in call("doctor").stdout

    statement("INSERT INTO revocations VALUES (98, 'session', 'x', 0, ?)", now - 60)(used)
    expired = (now - 3000) * SECOND
    statement("INSERT INTO rate_limits VALUES ('b', '', 5, 1, ?)", expired)(used)
    since = [moment((now - ago) * SECOND) for ago in (60, 3000)]
    shown = f"oldest expired   revocations since {since[0]}, rate_limits since {since[1]}\n"
    assert shown in call("doctor").stdout

    late = (now - 4000) * SECOND
    statement("UPDATE rate_limits SET expires_at = ?", late)(used)
    code, found = verdicts(call)
    assert (code, found["oldest expired"]) == (0, "warning")
    assert f"rate_limits since {moment(late)}: nobody" in call("doctor").stdout
    assert "revocations since" not in call("doctor").stdout


def test_a_big_table_may_keep_its_rows_for_as_long_as_it_is_walked() -> None:
    """A hundred million rows at fifty thousand a minute take a day and nine hours."""
    day = 86400 * SECOND
    waiting = {"sessions": Waiting(3, system_clock() - day)}

    assert growth._oldest(waiting, {"sessions": 100_000_000}).verdict == "ok"
    assert growth._oldest(waiting, {"sessions": 10_000_000}).verdict == "warning"
    assert growth._expired({"sessions": Waiting(200_000, 0)}, {"sessions": 2_000_000}).verdict == (
        "ok"
    )
    assert growth._expired({"sessions": Waiting(200_001, 0)}, {"sessions": 2_000_000}).verdict == (
        "warning"
    )


def test_the_size_of_each_table_is_told(
    call: Call, used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statement(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) "
        "INSERT INTO rate_limits SELECT printf('%064d', i), printf('%01000d', i), 1, 1, 4e18 FROM n"
    )(used)
    assert re.search(r"^ok +tables +rate_limits 2\.\d MiB, ", call("doctor").stdout, re.MULTILINE)

    statement("DELETE FROM rate_limits")(used)
    assert re.search(r", 3\.\d MiB in all, 2\.\d MiB free for new rows\n", call("doctor").stdout)
    monkeypatch.setattr(sqlite, "SIZES", "no_such_module")
    assert re.search(r"^ok +tables +3\.\d MiB in all, ", call("doctor").stdout, re.MULTILINE)


def test_nothing_is_made_where_nothing_is(call: Call, data: Path) -> None:
    code, found = verdicts(call)

    assert code == 1
    assert {name for name, verdict in found.items() if verdict == "failed"} == {
        "data directory",
        "secret",
        "database",
    }
    assert not data.exists()
