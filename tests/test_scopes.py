"""Scopes and roles: which words an account may have, and that its tokens carry them."""

from typing import Literal

import pytest

from limen.errors import InvalidRequest
from limen.limen import Limen
from limen.scopes import access, check_words
from tests.people import Person

pytestmark = pytest.mark.anyio

What = Literal["scope", "role"]

ALLOWED = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"\\')
CARRIED = ["", "a", "admin", "orders:read orders:write", "https://example.com/x?y=z", ALLOWED]
MOST = " ".join(["abcdefghi"] * 99 + ["a" * 34])  # 100 words, 1,024 characters
NOT_CARRIED = {
    "quotes": 'a"b',
    "a backslash": "a\\b",
    "two spaces": "two  spaces",
    "a space before": " a",
    "a space behind": "a ",
    "a space alone": " ",
    "a tab": "a\tb",
    "a line feed behind": "a\n",
    "NUL": "a\0",
    "an escape sequence": "\x1b[2J",
    "DEL": "a\x7f",
    "not ASCII": "é",
    "a space that is not ASCII": "a\u00a0b",
    "half a character": "\ud800",
}


@pytest.mark.parametrize("what", ["scope", "role"])
@pytest.mark.parametrize("words", [*CARRIED, "a" * 1024, MOST])
def test_words_of_visible_ascii_are_accepted(words: str, what: What) -> None:
    check_words(words, what)


@pytest.mark.parametrize("what", ["scope", "role"])
@pytest.mark.parametrize("words", NOT_CARRIED.values(), ids=NOT_CARRIED)
def test_what_a_token_could_not_carry_is_refused(words: str, what: What) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_words(words, what)

    assert refused.value.field == what


@pytest.mark.parametrize("words", ["a" * 1025, f"{MOST}a", "a " * 100 + "a", "a" * 100_000])
def test_too_many_words_are_refused(words: str) -> None:
    with pytest.raises(InvalidRequest):
        check_words(words, "scope")


def test_a_refusal_does_not_repeat_what_was_sent() -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_words('rosebud "', "role")

    assert "rosebud" not in str(refused.value)


async def test_every_word_that_is_accepted_arrives_in_the_token(limen: Limen, ada: Person) -> None:
    for words in (*CARRIED, MOST):
        await limen.features.accounts.set_access(ada.user_id, scope=words, roles=words)
        assert (await ada.refresh()).status_code == 200

        claims = limen.verifier.check(ada.tokens["access_token"])
        assert claims.scopes == claims.roles == set(words.split())


def test_what_is_not_named_stays_and_an_empty_text_takes_all_away() -> None:
    assert access(scope="orders", roles=None) == {"scope": "orders"}
    assert access(scope=None, roles="editor") == {"roles": "editor"}
    assert access(scope="", roles="") == {"scope": "", "roles": ""}


@pytest.mark.parametrize("named", [(None, None), ('a"b', None), ("a", 'a"b'), (None, "a  b")])
def test_nothing_said_is_refused_like_what_no_token_could_carry(
    named: tuple[str | None, str | None],
) -> None:
    with pytest.raises(InvalidRequest):
        access(scope=named[0], roles=named[1])
