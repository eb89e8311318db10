"""`limen calibrate`: what it prints can be taken for settings as it is."""

import json
from pathlib import Path

import pytest

from limen.cli.huge_pages import COMMAND
from limen.settings import Settings
from tests.cli.conftest import Call


@pytest.fixture(autouse=True)
def _briefly(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001  it comes first
    monkeypatch.setattr("limen.calibration.MEASURE_SECONDS", 0.0)
    monkeypatch.setenv("LIMEN_HASH_THREADS", "1")


def test_the_settings_that_are_printed_are_good(call: Call) -> None:
    result = call("calibrate", "--milliseconds", "5")
    printed = dict(line.split("=", 1) for line in result.stdout.splitlines()[:2])

    assert result.exit_code == 0
    assert set(printed) == {"LIMEN_PASSWORD_HASH", "LIMEN_HASH_THREADS"}
    assert Settings.from_environment(printed).hash_threads == 1
    assert "guesses a second" in result.stdout


def test_a_program_gets_figures(call: Call) -> None:
    found = json.loads(call("calibrate", "--memory", "20", "--rate", "0.1", "--json").stdout)

    assert str(Settings.from_environment(found["settings"]).password_hash).startswith("argon2id:")
    assert found["memory_mib"] <= 20
    assert found["attacker"]["guesses_per_second_and_core"] > 0


def found_huge_pages(call: Call) -> object:
    return json.loads(call("calibrate", "--milliseconds", "5", "--json").stdout)["huge_pages"]


@pytest.mark.parametrize("word", ["madvise", "never"])
def test_who_has_no_huge_pages_is_told_how_to_have_them(
    call: Call, huge_pages_file: Path, word: str
) -> None:
    huge_pages_file.write_text(f"[{word}]\n")
    said = call("calibrate", "--milliseconds", "5").stdout

    assert f"set to '{word}' on this host" in said
    assert said.splitlines()[-1].strip() == COMMAND
    assert found_huge_pages(call) == word


def test_who_has_them_or_cannot_is_told_nothing(call: Call, huge_pages_file: Path) -> None:
    assert COMMAND not in call("calibrate", "--milliseconds", "5").stdout
    assert found_huge_pages(call) == "always"

    huge_pages_file.unlink()
    assert COMMAND not in call("calibrate", "--milliseconds", "5").stdout
    assert found_huge_pages(call) is None


def test_nothing_is_made(call: Call, data: Path) -> None:
    assert call("calibrate", "--milliseconds", "5").exit_code == 0
    assert not data.exists()
