"""Accounts as lines of JSON, one reading each."""

import json
from typing import Any

import pytest

from limen.transfer.json_lines import accounts_in
from limen.transfer.records import Record
from tests.transfer.files import HASH, lines

LEAST = {"email": "ada@example.com", "password_hash": HASH}


def only(**members: Any) -> Record:
    ((place, found),) = accounts_in(lines(json.dumps({**LEAST, **members})))
    assert place == 1
    assert isinstance(found, Record)
    return found


def test_a_line_is_an_account() -> None:
    assert only() == Record(email="ada@example.com", password_hash=HASH)
    assert only(verified=True, disabled=True, scope="admin", user_id="f" * 32) == Record(
        email="ada@example.com",
        password_hash=HASH,
        user_id="f" * 32,
        scope="admin",
        is_verified=True,
        is_disabled=True,
    )
    assert only(created_at="1970-01-01T00:00:01+00:00").created_at == 1_000_000


def test_null_says_nothing() -> None:
    nothing = dict.fromkeys(("user_id", "scope", "verified", "disabled", "created_at"))

    assert only(**nothing) == only()


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "7",
        "ada@example.com",
        '{"email": "ada@example.com", "password_hash": "!", "is_admin": true}',
        '{"email": "ada@example.com", "email": "eve@example.com", "password_hash": "!"}',
        '{"email": ["ada@example.com"], "password_hash": "!"}',
        '{"email": 7, "password_hash": "!"}',
        '{"email": "ada@example.com", "password_hash": "!", "verified": 1.0}',
        '{"email": "ada@example.com", "password_hash": "!", "scope": false}',
        '{"email": "ada\\ud800@example.com", "password_hash": "!"}',
        '{"email": "' + "x" * 100_000 + '", "password_hash": "!"}',
        "[" * 60_000,
    ],
)
def test_a_line_that_cannot_be_read_in_one_way_is_refused_alone(line: str) -> None:
    (_, bad), (place, good) = accounts_in(lines(line, "", json.dumps(LEAST)))

    assert str(bad) == "malformed"
    assert place == 3
    assert isinstance(good, Record)
