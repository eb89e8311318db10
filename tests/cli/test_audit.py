"""`limen audit`: the trail, read and verified beside a running server or without one."""

import hashlib
import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Call
from tests.cli.test_users import ADA, create

ANCHOR = re.compile(r"\d+-[\w-]{43}\n")


@pytest.fixture
def user_id(call: Call) -> str:
    """An account that was made and disabled: entries 2 and 3."""
    created = create(call)
    assert call("users", "disable", ADA).exit_code == 0
    return str(created["user_id"])


def listed(call: Call, *options: str) -> list[dict[str, Any]]:
    result = call("audit", "list", "--json", *options)
    assert result.exit_code == 0, result.stderr
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def tamper(data: Path, statement: str) -> None:
    with sqlite3.connect(data / "limen.db") as connection:
        connection.execute(statement)
    connection.close()


def test_what_an_operator_does_is_in_the_trail(call: Call, user_id: str) -> None:
    newest, made, key = listed(call)

    assert (newest["kind"], newest["outcome"]) == ("account.changed", "disabled")
    assert (newest["actor"], newest["user_id"]) == ("operator", user_id)
    assert (made["kind"], key["kind"]) == ("account.registered", "key.created")
    assert "personal" not in newest


def test_entries_are_picked_and_paged(call: Call, user_id: str) -> None:
    def seqs(*options: str) -> list[int]:
        return [entry["seq"] for entry in listed(call, *options)]

    assert seqs("--user", ADA) == seqs("--user", user_id) == [3, 2]
    assert seqs("--kind", "key.created") == [1]
    assert seqs("--actor", "operator", "--oldest-first") == [2, 3]
    assert seqs("--outcome", "disabled") == [3]
    assert seqs("--limit", "2") == [3, 2]
    assert seqs("--limit", "2", "--after", "2") == [1]
    assert seqs("--since", "2026-01-01") == [3, 2, 1]
    assert seqs("--until", "2026-01-01T00:00:00+01:00") == []
    assert call("audit", "list", "--limit", "2").stderr == "There may be more: --after 2\n"
    assert call("audit", "list", "--until", "2026-01-01").stdout == "There are no entries.\n"


def test_a_person_reads_lines(call: Call, user_id: str) -> None:
    lines = call("audit", "list", "--personal").stdout.splitlines()

    assert lines[0].split()[:4] == ["SEQ", "TIME", "KIND", "OUTCOME"]
    assert "ADDRESS" in lines[0]
    assert user_id in lines[1]
    assert "ADDRESS" not in call("audit", "list").stdout


@pytest.mark.parametrize(
    "words",
    [
        ("list", "--since", "yesterday"),
        ("list", "--until", "2026-13-01"),
        ("list", "--after", "-1"),
        ("export", "--since", "\0"),
        ("verify", "--head", "4711"),
        ("verify", "--head", "x-" + "A" * 43),
    ],
)
def test_what_makes_no_sense_is_refused(call: Call, user_id: str, words: tuple[str, ...]) -> None:
    assert user_id
    assert call("audit", *words).exit_code == 2


def test_an_unknown_user_fails_in_words(call: Call, user_id: str) -> None:
    assert user_id
    result = call("audit", "list", "--user", "nobody@example.com")

    assert (result.exit_code, result.stderr) == (1, "limen: There is no such account.\n")


def exported(call: Call, *options: str) -> list[dict[str, Any]]:
    result = call("audit", "export", *options)
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_an_export_is_a_line_an_entry_and_goes_on_where_it_ended(
    call: Call, user_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limen.cli.audit.PAGE", 2)
    lines = exported(call)

    assert [line["seq"] for line in lines] == [1, 2, 3]
    assert lines[2]["user_id"] == user_id
    assert [line["seq"] for line in exported(call, "--after", "2")] == [3]
    assert exported(call, "--until", "2026-01-01") == []
    assert json.loads(call("audit", "export", "--json").stdout) == lines
    assert json.loads(call("audit", "export", "--after", "3", "--json").stdout) == []
    assert exported(call, "--personal")[0]["personal"]["salt"]


def test_an_export_is_verified_without_limen(call: Call, user_id: str) -> None:
    """With nothing but an anchor, as docs/audit.md shows it."""
    assert user_id
    page = (Path(__file__).parents[2] / "docs" / "audit.md").read_text("utf-8")
    program = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert program is not None
    lines = call("audit", "export").stdout.splitlines()
    anchor = call("audit", "head").stdout.strip()

    def verdict(lines: list[str], anchor: str) -> object:
        known: dict[str, Any] = {"hashlib": hashlib, "lines": lines, "anchor": anchor}
        exec(program[1], known)  # noqa: S102  the documentation's own
        return known["good"]

    assert verdict(lines, anchor) is True
    assert verdict([lines[0], lines[1].replace("operator", "program"), lines[2]], anchor) is False
    assert verdict([lines[0], lines[2]], anchor) is False
    assert verdict(lines[:2], anchor) is False


def test_a_whole_trail_verifies_and_shows_an_anchor(call: Call, user_id: str) -> None:
    assert user_id
    anchor = call("audit", "head").stdout
    result = call("audit", "verify")
    assert result.exit_code == 0
    assert result.stdout.startswith("All 3 entries, from 1 on, are as limen wrote them.\n")
    assert anchor.strip() in result.stdout

    assert ANCHOR.fullmatch(anchor)
    again = call("audit", "verify", "--head", anchor.strip(), "--json")
    report = json.loads(again.stdout)
    assert (again.exit_code, report["verified"], report["entries"]) == (0, True, 3)
    assert json.loads(call("audit", "head", "--json").stdout)["anchor"] == anchor.strip()


def test_a_trail_that_was_tampered_with_fails(call: Call, data: Path, user_id: str) -> None:
    assert user_id
    anchor = call("audit", "head").stdout.strip()
    tamper(data, "UPDATE audit SET actor = 'limen' WHERE seq = 2")
    result = call("audit", "verify")
    assert result.exit_code == 1
    assert result.stdout == (
        "Entry 2 (changed): it says something else than when it was written.\n"
        "What lies before it, 1 entries, is as limen wrote it.\n"
    )
    report = json.loads(call("audit", "verify", "--json", "--head", anchor).stdout)
    assert (report["verified"], report["broken"]["seq"]) == (False, 2)


def test_an_end_that_was_cut_off_fails_against_an_anchor(
    call: Call, data: Path, user_id: str
) -> None:
    assert user_id
    anchor = call("audit", "head").stdout.strip()
    tamper(data, "DELETE FROM audit WHERE seq = 3")
    tamper(
        data,
        "UPDATE audit_head SET (seq, digest, mac) = "
        "(SELECT seq, digest, mac FROM audit WHERE seq = 2)",
    )
    assert call("audit", "verify").exit_code == 0

    result = call("audit", "verify", "--head", anchor)
    assert (result.exit_code, result.stdout[:18]) == (1, "Entry 3 (cut off):")


def test_a_person_is_erased_and_the_trail_still_verifies(call: Call, user_id: str) -> None:
    result = call("users", "erase", ADA, "--json")
    assert json.loads(result.stdout) == {"user_id": user_id, "entries": 2}
    assert call("users", "erase", user_id).stdout == f"Erased from 1 entries of {user_id}.\n"

    assert "The personal part of 3 was erased" in call("audit", "verify").stdout
    assert "erased" in call("audit", "list", "--personal", "--user", user_id).stdout
    for unknown in ("nobody@example.com", "0" * 32, "\0"):
        assert call("users", "erase", unknown).exit_code == 1


def test_of_an_unknown_session_nothing_is_explained(call: Call, user_id: str) -> None:
    assert user_id
    result = call("explain", "0" * 32, "--json")

    assert (result.exit_code, result.stdout) == (1, "")
    assert json.loads(result.stderr)["error"]["code"] == "failed"
