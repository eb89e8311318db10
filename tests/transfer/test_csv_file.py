"""Accounts in CSV, as databases and spreadsheets write it."""

import io

import pytest

from limen.errors import InvalidRequest
from limen.lines import LONGEST
from limen.transfer.csv_file import accounts_in
from limen.transfer.records import Record
from tests.transfer.files import HASH, lines

HEADER = "email,password_hash,scope,verified,disabled,created_at,user_id"


def only(*texts: str) -> Record:
    ((_, found),) = accounts_in(lines(*texts))
    assert isinstance(found, Record)
    return found


def test_a_line_is_an_account() -> None:
    user_id = "0123456789abcdef" * 2
    line = f'ada@example.com,"{HASH}",admin billing,true,f,2024-05-01T12:30:45.5Z,{user_id}'

    assert only(HEADER, line) == Record(
        email="ada@example.com",
        password_hash=HASH,
        user_id=user_id,
        scope="admin billing",
        is_verified=True,
        is_disabled=False,
        created_at=1_714_566_645_500_000,
    )


def test_what_a_file_does_not_say_an_account_does_not_have() -> None:
    least = Record(email="ada@example.com", password_hash="!")

    assert only("email,password_hash", "ada@example.com,!") == least
    assert only(HEADER, "ada@example.com,!,,,,,") == least


def test_columns_stand_in_any_order_and_the_file_may_come_from_windows() -> None:
    content = b"\xef\xbb\xbfpassword_hash, Email\r\n!,ada@example.com\r\n\r\n!,bob@example.com"
    found = list(accounts_in(io.BytesIO(content)))

    assert [place for place, _ in found] == [2, 4]
    assert [one.email for _, one in found if isinstance(one, Record)] == [
        "ada@example.com",
        "bob@example.com",
    ]


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [
        ("2024-05-01T12:30:45Z", 1_714_566_645),
        ("2024-05-01 12:30:45", 1_714_566_645),
        ("2024-05-01 14:30:45+02", 1_714_566_645),
        ("2024-05-01", 1_714_521_600),
        ("1969-12-31T23:59:59Z", -1),
    ],
)
def test_a_moment_is_in_utc_unless_it_says_otherwise(moment: str, seconds: int) -> None:
    found = only("email,password_hash,created_at", f"ada@example.com,!,{moment}")

    assert found.created_at == seconds * 1_000_000


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("ada@example.com", "malformed"),
        ("ada@example.com,!,,,,,,", "malformed"),
        ("ada@example.com,!,,yes,,,", "malformed"),
        ("ada@example.com,!,,,2,,", "malformed"),
        ('ada@example.com,"!" ,,,,,', "malformed"),
        (f"{'x' * LONGEST},!,,,,,", "malformed"),
        ("ada@example.com,!,,,,yesterday,", "invalid_moment"),
        ("ada@example.com,!,,,,1714566645,", "invalid_moment"),
        ("ada@example.com,!,,,,0000-01-01,", "invalid_moment"),
    ],
)
def test_a_line_that_cannot_be_read_is_refused_alone(line: str, code: str) -> None:
    (_, bad), (place, good) = accounts_in(lines(HEADER, line, "bob@example.com,!,,,,,"))

    assert str(bad) == code
    assert place == 3
    assert isinstance(good, Record)


def test_an_open_quote_swallows_the_rest_and_says_so() -> None:
    ((_, bad),) = accounts_in(lines("email,password_hash", '"ada,!', "bob@example.com,!"))

    assert str(bad) == "malformed"


@pytest.mark.parametrize(
    "first",
    [
        [],
        [""],
        [f"ada@example.com,{HASH}"],
        ["email"],
        ["email;password_hash"],
        ["email,password_hash,email"],
        ["email,password_hash,is_admin"],
        ['"email,password_hash'],
    ],
    ids=["nothing", "empty", "an account", "one", "semicolons", "twice", "unknown", "quoted"],
)
def test_a_file_that_does_not_name_its_columns_is_refused_without_repeating_it(
    first: list[str],
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        list(accounts_in(lines(*first)))

    assert "ada" not in refused.value.detail
    assert refused.value.detail.startswith("The first line must name the columns")
