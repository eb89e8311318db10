"""Catching what `configure` makes of a process's logging, and putting everything back."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from limen.telemetry.logs import FLOORS, LogFormat, configure


class Output:
    """What was written since the last look."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    def text(self) -> str:
        return self._stream.getvalue()

    def lines(self) -> list[str]:
        return self.text().splitlines()

    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().split("\n") if line]


Logging = Callable[..., Output]


@pytest.fixture
def logging_to() -> Iterator[Logging]:
    """Return a function (format, level="debug") that configures logging and gives its output."""
    root = logging.getLogger()
    handlers, root_level = root.handlers[:], root.level
    loggers = {name: logging.getLogger(name) for name in FLOORS}
    levels = {name: logger.level for name, logger in loggers.items()}

    def start(format: LogFormat, level: str = "debug") -> Output:  # noqa: A002  as in configure
        stream = io.StringIO()
        configure(format, level, stream)
        return Output(stream)

    yield start
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(root_level)
    for name, level in levels.items():
        loggers[name].setLevel(level)


@pytest.fixture(params=["json", "console"])
def any_format(request: pytest.FixtureRequest) -> LogFormat:
    chosen: LogFormat = request.param
    return chosen
