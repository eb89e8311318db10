"""Each kind of value can be written, and read again; and nothing else than ValueError escapes."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limen import option_kinds as kinds
from limen.option_kinds import Argon2Cost, Limit

SEVEN_DAYS = 7 * 86400


@given(st.integers(0, 10 * 365 * 86400))
def test_a_duration_is_read_as_it_was_written(seconds: int) -> None:
    kind = kinds.duration("0s", "3650d")

    assert kind.parse(kind.write(seconds)) == seconds


@given(st.integers(1, 1000), st.integers(1, SEVEN_DAYS))
def test_a_limit_is_read_as_it_was_written(quota: int, window: int) -> None:
    written = Limit(quota, window)

    assert kinds.limit(1000).parse(str(written)) == written


@given(st.integers(47104, 262144), st.integers(1, 16), st.integers(1, 16))
def test_a_cost_is_read_as_it_was_written(memory: int, passes: int, lanes: int) -> None:
    written = Argon2Cost(memory, passes, lanes)

    assert kinds.COST.parse(str(written)) == written


PARSERS: list[Callable[[str], object]] = [
    kinds.duration("0s", "1d").parse,
    kinds.count(8, 64).parse,
    kinds.cores(8).parse,
    kinds.limit(1000).parse,
    kinds.choice("a", "b").parse,
    kinds.SWITCH.parse,
    kinds.DIRECTORY.parse,
    kinds.DATABASE.parse,
    kinds.ISSUER.parse,
    kinds.NETWORKS.parse,
    kinds.COST.parse,
    kinds.SECRETS.parse,
]
PIECES = [
    "https://",
    "sqlite:///",
    "argon2id:m=",
    "5 per ",
    "[",
    "]",
    ":",
    "/",
    ",",
    "٣",
    "\0",
    "%",
]


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=9)), max_size=5).map("".join))
@pytest.mark.parametrize("parse", PARSERS)
def test_a_text_is_read_or_refused(parse: Callable[[str], object], text: str) -> None:
    """Another exception would fail this test, and would be a trace where one line is promised."""
    try:
        parse(text)
    except ValueError as refusal:
        problem = str(refusal)
    else:
        problem = "none"
    assert problem
    assert "codec" not in problem  # Python's own words would repeat the text
