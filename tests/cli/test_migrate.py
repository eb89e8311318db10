"""`limen migrate`, and what any command says of a database that it cannot use."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from limen.database import migrate, sqlite
from tests.cli.conftest import Call


@contextmanager
def changed(path: Path) -> Iterator[sqlite3.Connection]:
    """Change the database behind limen's back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def test_the_database_is_made_and_then_left_alone(call: Call, data: Path) -> None:
    before = call("migrate", "--status", "--json")
    made = call("migrate", "--json")
    again = call("migrate")

    assert before.exit_code == 1
    assert json.loads(before.stdout)["before"] is None
    assert json.loads(made.stdout) == json.loads(before.stdout)
    assert (data / "limen.db").exists()
    assert data.stat().st_mode & 0o777 == 0o700
    assert again.stdout == f"The database is at revision {migrate.needed_revision()}.\n"
    assert call("migrate", "--status").exit_code == 0


def test_asking_for_the_status_makes_nothing(call: Call, data: Path) -> None:
    assert "run 'limen migrate'" in call("migrate", "--status").stdout
    assert not data.exists()


def test_a_secret_of_ones_own_needs_no_directory_made_beforehand(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMEN_SECRET", "Zq3vJt8nKx0pRw5yBd7fGh2mLs9cTu4e")

    assert call("users", "create", "ada@example.com", stdin="a fine password").exit_code == 0


def test_a_command_leaves_the_tables_of_an_earlier_limen_to_a_server(
    call: Call, data: Path
) -> None:
    """One of the version before may be running beside it."""
    data.mkdir(mode=0o700)
    earlier, url = f"{int(migrate.needed_revision()) - 1:04d}", f"sqlite:///{data}/limen.db"
    migrate._make_file(data / "limen.db")
    with migrate._connection(url) as connection:
        migrate._migrate_to(connection, earlier)
    refused = call("users", "list")

    assert refused.exit_code == 1
    assert f"has the schema {earlier}" in refused.stderr
    assert "run 'limen migrate'" in refused.stderr
    assert migrate.status(url).current == earlier
    assert call("migrate").exit_code == 0
    assert call("users", "list").exit_code == 0


@pytest.mark.parametrize(
    "words", [("migrate",), ("migrate", "--status"), ("users", "list")], ids=" ".join
)
def test_a_database_of_a_newer_limen_is_refused(
    call: Call, data: Path, words: tuple[str, ...]
) -> None:
    call("migrate")
    with changed(data / "limen.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    result = call(*words)

    assert result.exit_code == 78
    assert result.stderr.startswith(
        "limen: LIMEN_DATABASE_URL: the database was changed by a newer"
    )


@pytest.mark.parametrize("words", [("migrate",), ("users", "list")], ids=" ".join)
def test_a_file_that_is_no_database_is_refused(
    call: Call, data: Path, words: tuple[str, ...]
) -> None:
    data.mkdir()
    (data / "limen.db").write_bytes(b"no database at all" * 100)
    result = call(*words)

    assert result.exit_code == 78
    assert "the file is no SQLite database" in result.stderr


def test_a_directory_that_cannot_be_made_is_told_in_a_line(
    call: Call, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data.write_text("a file where the directory should be")
    monkeypatch.setenv("LIMEN_DATABASE_URL", f"sqlite:///{data}/below/limen.db")
    result = call("migrate")

    assert result.exit_code == 78
    assert result.stderr.count("\n") == 1
    assert "LIMEN_DATA_DIR" in result.stderr


def test_a_locked_database_is_read_and_what_must_write_says_so(
    call: Call, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.25)
    assert call("users", "create", "ada@example.com", stdin="a fine password").exit_code == 0
    with changed(data / "limen.db") as connection:
        connection.execute("BEGIN IMMEDIATE")
        listed = call("users", "list")
        refused = call("users", "disable", "ada@example.com")

    assert (listed.exit_code, refused.exit_code) == (0, 1)
    assert "(database is locked)" in refused.stderr
    assert refused.stderr.count("\n") == 1
