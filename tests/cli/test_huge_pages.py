"""Huge pages: what the kernel has them set to is told, and is nobody's fault."""

import json
from pathlib import Path

import pytest

from limen.cli.huge_pages import COMMAND, huge_pages, of_huge_pages
from limen.option_kinds import COST
from tests.cli.conftest import Call

OURS = COST.parse("argon2id:m=19456,t=2,p=1")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("[always] madvise never\n", "always"),
        ("always [madvise] never\n", "madvise"),
        ("always madvise [never]\n", "never"),
        ("", None),
    ],
)
def test_the_word_in_brackets_is_the_one_that_is_set(
    huge_pages_file: Path, words: str, meant: str | None
) -> None:
    huge_pages_file.write_text(words)

    assert huge_pages() == meant


@pytest.mark.parametrize("word", ["madvise", "never"])
def test_the_doctor_says_how_hashes_may_be_quicker_and_warns_of_nothing(
    call: Call, huge_pages_file: Path, word: str
) -> None:
    huge_pages_file.write_text(f"[{word}]\n")
    (found,) = (
        check
        for check in json.loads(call("doctor", "--json").stdout)
        if check["name"] == "huge pages"
    )

    assert found["verdict"] == "ok"
    assert found["says"].startswith(f"{word}: ")
    assert COMMAND in found["says"]


@pytest.mark.usefixtures("huge_pages_file")
def test_where_everybody_has_them_there_is_nothing_to_advise() -> None:
    (found,) = of_huge_pages(OURS)

    assert found == ("huge pages", "ok", "always")


def test_a_kernel_without_the_setting_is_not_asked_about_it(huge_pages_file: Path) -> None:
    huge_pages_file.unlink()

    assert huge_pages() is None
    assert list(of_huge_pages(OURS)) == []


@pytest.mark.usefixtures("huge_pages_file")
def test_hashes_that_libsodium_does_not_compute_are_left_alone() -> None:
    assert list(of_huge_pages(COST.parse("argon2id:m=19456,t=2,p=2"))) == []
