"""The command line on a data directory of its own, in this process."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from limen.cli.program import limen as program

Call = Callable[..., Result]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment without settings but for a data directory, not made yet, and quick keys."""
    for name in os.environ:
        if name.startswith("LIMEN_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LIMEN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LIMEN_SIGNING_ALGORITHM", "ES256")
    return tmp_path / "data"


@pytest.fixture
def huge_pages_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel's setting of huge pages, whatever this machine has: a file that can be written."""
    path = tmp_path / "huge_pages"
    path.write_text("[always] madvise never\n")
    monkeypatch.setattr("limen.cli.huge_pages.SETTING", path)
    return path


@pytest.fixture
def call(data: Path, huge_pages_file: Path) -> Call:  # noqa: ARG001  the environment must be there
    """Call the command line: `call("users", "list", stdin="...")`."""

    def run(*words: str, stdin: str | bytes = "") -> Result:
        before = set(threading.enumerate())
        result = CliRunner().invoke(program, words, input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        for thread in set(threading.enumerate()) - before:
            thread.join(2)
            assert not thread.is_alive(), "a thread is left, and the process would not exit"
        return result

    return run
