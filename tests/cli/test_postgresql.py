"""The command line on PostgreSQL: migrated by hand, examined, served from many places."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psycopg
import pytest

from limen.cli import postgresql as checks
from limen.database.migrate import needed_revision
from tests.cli.conftest import Call
from tests.cli.processes import run, serving
from tests.people import AUTH, PASSWORD
from tests.postgresql import Databases

SECRET = "Zq3vJt8nKx0pRw5yBd7fGh2mLs9cTu4e"


@pytest.fixture
def empty(postgresql: Databases) -> Iterator[str]:
    """A database without any table."""
    with postgresql.empty() as url:
        yield url


@pytest.fixture
def on_empty(call: Call, empty: str, monkeypatch: pytest.MonkeyPatch) -> Call:
    """The command line of a limen on a database without any table."""
    monkeypatch.setenv("LIMEN_DATABASE_URL", empty)
    monkeypatch.setenv("LIMEN_SECRET", SECRET)
    return call


def verdicts(call: Call) -> dict[str, str]:
    return {
        check["name"]: check["verdict"] for check in json.loads(call("doctor", "--json").stdout)
    }


def test_the_database_is_migrated_by_hand_and_needs_no_data_directory(
    on_empty: Call, data: Path
) -> None:
    refused = on_empty("users", "create", "ada@example.com", stdin=PASSWORD)
    before = on_empty("migrate", "--status")
    made = on_empty("migrate")
    after = on_empty("migrate", "--status")

    assert (refused.exit_code, before.exit_code, made.exit_code, after.exit_code) == (1, 1, 0, 0)
    assert refused.stderr == (
        f"limen: The database has no tables yet, and {needed_revision()} is needed: "
        "run 'limen migrate'.\n"
    )
    assert "run 'limen migrate'" in before.stdout
    assert on_empty("users", "create", "ada@example.com", stdin=PASSWORD).exit_code == 0
    assert "ada@example.com" in on_empty("users", "list").stdout
    assert not data.exists()


def test_serving_an_old_schema_is_refused_with_the_command(tmp_path: Path, empty: str) -> None:
    ended = run(tmp_path / "data", "serve", "--port", "0", LIMEN_DATABASE_URL=empty)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.splitlines()[-1].endswith("run 'limen migrate'.")
    assert "Traceback" not in ended.stderr


def test_the_password_is_in_no_answer(
    on_empty: Call, empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMEN_DATABASE_URL", empty.replace("limen@", "limen:hunter2@"))
    for words in (["migrate"], ["migrate", "--json"], ["doctor"], ["config", "show"]):
        result = on_empty(*words)
        assert "limen:***@" in result.stdout or words == ["migrate"]
        assert "hunter2" not in result.stdout + result.stderr


def test_the_doctor_examines_the_server(
    on_empty: Call, empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert verdicts(on_empty)["schema"] == "failed"
    on_empty("migrate")
    on_empty("users", "create", "ada@example.com", stdin=PASSWORD)
    found = verdicts(on_empty)

    assert list(found) == [
        *("settings", "public URL", "trusted proxies", "mail", "huge pages", "secret", "database"),
        *("schema", "server", "durability", "connections", "tables", "signing keys", "clock"),
        *("outbox", "revocation log", "rows", "expired rows", "oldest expired"),
    ]
    # The tests' own server does without fsync, for speed.
    assert {name for name, verdict in found.items() if verdict == "failed"} == {"durability"}
    monkeypatch.setattr(checks, "OLDEST_SERVER", 990_000)
    monkeypatch.setattr(checks, "CROWDED", 0.0)
    monkeypatch.setattr(checks, "MANY_DEAD", -1)
    with psycopg.connect(empty, autocommit=True) as connection:
        for _ in range(5):
            connection.execute("UPDATE revocation_counter SET seq = seq")
        connection.execute("SELECT pg_stat_force_next_flush()")
    found = verdicts(on_empty)
    assert [found[name] for name in ("server", "connections", "tables")] == [
        *("failed", "warning", "warning")
    ]


def test_a_server_that_is_away_is_said(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMEN_DATABASE_URL", "postgresql://limen:hunter2@127.0.0.1:1/limen")
    result = call("users", "list")

    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert verdicts(call)["database"] == "failed"


def test_two_servers_on_one_database_are_one_limen(
    tmp_path: Path, on_empty: Call, empty: str
) -> None:
    """Whatever is ended through one is refused by the other."""
    on_empty("migrate")
    on_empty("users", "create", "ada@example.com", stdin=PASSWORD)
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    one, two = [
        serving(folder / "data", LIMEN_DATABASE_URL=empty, LIMEN_SECRET=SECRET)
        for folder in folders
    ]
    with one as first, two as second, httpx2.Client(trust_env=False, timeout=10) as http:
        body = {"email": "ada@example.com", "password": PASSWORD}
        tokens = http.post(f"{first.url}{AUTH}/login", json=body).json()
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        assert http.get(f"{second.url}{AUTH}/me", headers=bearer).status_code == 200
        assert http.post(f"{first.url}{AUTH}/logout", headers=bearer).status_code == 204
        began = time.monotonic()
        while http.get(f"{second.url}{AUTH}/me", headers=bearer).status_code == 200:
            assert time.monotonic() - began < 3
        print(f"\nrefused by the other after {(time.monotonic() - began) * 1000:.0f} ms")
        used = {"refresh_token": tokens["refresh_token"]}

        assert http.post(f"{second.url}{AUTH}/refresh", json=used).status_code == 401
