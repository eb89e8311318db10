"""What holds for every command: help, JSON, exit codes, and no secret among the arguments."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from limen import __version__
from limen.cli.commands import as_document
from limen.cli.program import limen as program
from tests.cli.conftest import Call
from tests.cli.processes import COMMAND, environment, run

SECRET_NAMES = re.compile("password|secret|token|hash|key")


def leaves(
    command: click.Command = program, *words: str
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, with the words that call it."""
    if not isinstance(command, click.Group):
        yield words, command
        return
    for name, below in command.commands.items():
        yield from leaves(below, *words, name)


LEAVES = [pytest.param(words, command, id=" ".join(words)) for words, command in leaves()]


@pytest.mark.parametrize(("words", "command"), LEAVES)
def test_every_help_shows_examples_of_its_command(
    call: Call, words: tuple[str, ...], command: click.Command
) -> None:
    result = call(*words, "--help")

    assert result.exit_code == 0
    examples = result.stdout.partition("Examples:\n")[2].splitlines()
    assert examples
    assert all(f"limen {' '.join(words)}" in example for example in examples)
    assert command.help


@pytest.mark.parametrize(("words", "command"), LEAVES)
def test_no_option_or_argument_takes_a_secret(
    words: tuple[str, ...], command: click.Command
) -> None:
    for parameter in command.params:
        named_like_one = SECRET_NAMES.search(" ".join([*parameter.opts, parameter.name or ""]))
        names_a_file = (
            isinstance(parameter.type, click.Path) and str(parameter.name)[-5:] == "_file"
        )
        is_harmless = names_a_file or getattr(parameter, "is_flag", False)
        assert not named_like_one or is_harmless, words


@pytest.mark.parametrize(("words", "command"), LEAVES)
def test_every_command_takes_json(words: tuple[str, ...], command: click.Command) -> None:
    assert any("--json" in parameter.opts for parameter in command.params), words


def test_a_noun_alone_is_answered_with_its_help(call: Call) -> None:
    for words in ((), ("users",)):
        result = call(*words)
        assert "Commands:" in result.stdout + result.stderr


def test_the_version_is_told(call: Call) -> None:
    assert call("version").stdout.startswith("limen 0.")
    assert call("version", "--json").stdout.startswith('{\n  "limen": "0.')


def test_the_version_is_told_as_other_programs_tell_it(call: Call) -> None:
    assert call("--version").stdout == f"limen {__version__}\n"


@pytest.mark.parametrize(
    "words",
    [("nonsense",), ("users", "create"), ("users", "list", "--limit", "0"), ("--nonsense",)],
)
def test_a_command_that_is_wrongly_called_exits_with_2(call: Call, words: tuple[str, ...]) -> None:
    result = call(*words)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Try 'limen" in result.stderr


@pytest.mark.parametrize(
    ("words", "exit_code", "code"),
    [
        (("users", "nonsense"), 2, "usage"),
        (("users", "show", "nobody@example.com"), 78, "configuration"),
        (("config", "check", "again"), 2, "usage"),
        (("--nonsense",), 2, "usage"),
    ],
)
def test_an_error_is_one_json_document_on_standard_error(
    call: Call, words: tuple[str, ...], exit_code: int, code: str
) -> None:
    result = call(*words, "--json")

    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert json.loads(result.stderr)["error"]["code"] == code


def test_control_characters_never_reach_the_terminal(call: Call) -> None:
    result = call("version", "\x1b[2J\x9b\u202e")

    assert result.exit_code == 2
    assert result.stderr.replace("\n", "").isprintable()
    assert as_document({"\x7f": "\x1b"}).replace("\n", "").isprintable()
    assert json.loads(as_document({"\x7f": "\x1b"})) == {"\x7f": "\x1b"}


@pytest.mark.parametrize("missing", ["click", "sqlalchemy"])
def test_without_the_server_extra_one_line_says_what_to_install(
    tmp_path: Path, missing: str
) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; from limen.cli import main; main()"
    (tmp_path / "limen.db").touch()
    result = subprocess.run(
        [sys.executable, "-c", program, "users", "list"],
        env={"LIMEN_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "pip install 'limen[server]'" in result.stderr


def test_the_module_is_the_command(tmp_path: Path) -> None:
    assert run(tmp_path / "data", "version").stdout.startswith("limen 0.")


def test_without_a_standard_input_nothing_came_from_it(tmp_path: Path) -> None:
    result = subprocess.run(
        ["/bin/sh", "-c", '"$@" <&-', "sh", *COMMAND, "users", "create", "ada@example.com"],
        env=environment(tmp_path / "data"),
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 1
    assert result.stderr.startswith("limen: Password: nothing came from standard input.")


@pytest.mark.parametrize("words", [("version",), ("version", "--json")])
def test_an_output_that_cannot_be_written_is_told_in_words(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [*COMMAND, *words],
            env=environment(tmp_path / "data"),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert result.returncode == 1
    assert "The output cannot be written (No space left on device)" in result.stderr
    assert "Traceback" not in result.stderr
    assert "Exception" not in result.stderr
