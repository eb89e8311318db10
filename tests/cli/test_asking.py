"""Secrets at a terminal: asked for twice, unseen, and never on standard output."""

import os
import pty
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.cli.processes import COMMAND, SECONDS, environment

PASSWORD = "correct horse battery staple"


def typed(data: Path, *words: str, answers: tuple[str, ...]) -> tuple[int, str, str]:
    """Run a command at a terminal, answer its prompts; give its exit code, output and screen."""
    terminal, side = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *words],
        env=environment(data),
        stdin=side,
        stdout=subprocess.PIPE,
        stderr=side,
        start_new_session=True,  # no other terminal than this one
        text=True,
    )
    os.close(side)
    screen = b""
    for answer in answers:
        asked = screen.count(b": ")
        while screen.count(b": ") == asked:
            screen += os.read(terminal, 1024)
        os.write(terminal, answer.encode() + b"\n")
    output, _ = process.communicate(timeout=SECONDS)
    os.set_blocking(terminal, False)
    with suppress(OSError):  # nothing more was written
        screen += os.read(terminal, 65536)
    os.close(terminal)
    return process.returncode, output, screen.decode()


def test_a_password_is_asked_for_twice_and_not_shown(tmp_path: Path) -> None:
    create = ("users", "create", "ada@example.com", "--json")
    code, output, screen = typed(tmp_path / "data", *create, answers=(PASSWORD, PASSWORD))

    assert code == 0, screen
    assert output.startswith('{\n  "user_id"')
    assert PASSWORD not in output + screen
    assert screen == "Password: \r\nRepeat for confirmation: \r\n"
