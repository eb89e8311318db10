"""Log lines: one event, one line, nothing secret in it.

limen speaks to the standard library's loggers named "limen.*" and puts what it knows into the
record's extra fields. Mounted in somebody's application it therefore follows their configuration
and changes nothing of it. Only `limen serve` and the command line call `configure`, which sends
every logger of the process, uvicorn's, SQLAlchemy's and Alembic's too, through one structlog chain:

    record → request id → timestamp, level, logger → traceback as text → redaction → one line

    json      one object a line: timestamp, level, logger, event, request_id, then the fields
    console   the same for a person's eyes; a traceback follows, indented, so that no text in it
              can pass for a line of its own
    auto      console where the stream is a terminal, json elsewhere

Tracebacks never show local variables. Redaction comes after everything that makes text, see
`limen.telemetry.redaction`. `log_events` is the subscriber that writes a line for an event.
"""

import json
import logging
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from typing import Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from limen.events import (
    AccountChanged,
    BreachCheckFailed,
    ClientCreated,
    ClientDeleted,
    CodeIssued,
    CodeRefused,
    DatabaseFailed,
    Event,
    HashingRefused,
    KeyCreated,
    KeysRetired,
    LetterHurried,
    LimitHit,
    PasswordHashed,
    PasswordUpgraded,
    Posted,
    Refreshed,
    Registered,
    SessionEnded,
    SignIn,
    Swept,
    WebhookChanged,
)
from limen.telemetry.redaction import one_line, redact_member

LogFormat = Literal["auto", "console", "json"]

LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}

# How talkative others may become, whatever the level asked for. Below these they show what must
# not be shown: statements with their parameters, request headers, paths with their query strings.
FLOORS: Final[Mapping[str, int]] = {
    "aiosqlite": logging.WARNING,
    "alembic": logging.WARNING,  # limen.features says what was migrated
    "httpcore": logging.WARNING,
    "httpcore2": logging.WARNING,
    "httpx": logging.WARNING,
    "httpx2": logging.WARNING,
    "psycopg": logging.ERROR,  # its warnings tell again what it raises, and of which server
    "python_multipart": logging.WARNING,
    "sqlalchemy": logging.WARNING,
    "sqlalchemy.engine": logging.WARNING,
    "sqlalchemy.pool": logging.WARNING,
    "uvicorn": logging.INFO,
    "uvicorn.access": logging.WARNING,  # limen.telemetry.requests writes the access line
    "uvicorn.error": logging.INFO,
    "websockets": logging.INFO,
}

# uvicorn's lines on handshakes: one shows address, path and query string, one calls every handshake
# that was refused with a response an error, and one would have the operator install something
# because a stranger asked for a WebSocket. limen.telemetry.requests tells of all three.
UNTOLD: Final = (
    '"WebSocket %s"',
    "returned without completing handshake",
    "No supported WebSocket library",
)

# The level and the words for each event; None: it is counted, not told. Refused sign-ins are
# everyday life, a replay or a reached limit is somebody's doing.
LINES: Final[Mapping[type[Event], tuple[int, str] | None]] = {
    Registered: (logging.INFO, "account registered"),
    SignIn: (logging.INFO, "sign-in"),
    LimitHit: (logging.WARNING, "limit reached"),
    Refreshed: (logging.INFO, "refresh"),
    SessionEnded: (logging.INFO, "session ended"),
    AccountChanged: (logging.INFO, "account changed"),
    CodeIssued: (logging.INFO, "code issued"),
    CodeRefused: (logging.INFO, "code refused"),
    Posted: (logging.INFO, "outbox"),
    LetterHurried: (logging.INFO, "letter hurried"),
    PasswordUpgraded: (logging.INFO, "password hash upgraded"),
    PasswordHashed: None,
    HashingRefused: (logging.WARNING, "hashing queue full"),
    BreachCheckFailed: (logging.WARNING, "leaked passwords could not be looked up"),
    KeyCreated: (logging.INFO, "signing key created"),
    KeysRetired: (logging.INFO, "signing keys retired"),
    ClientCreated: (logging.INFO, "client created"),
    ClientDeleted: (logging.INFO, "client deleted"),
    WebhookChanged: (logging.INFO, "webhook changed"),
    Swept: (logging.DEBUG, "expired rows removed"),
    DatabaseFailed: (logging.ERROR, "database failed"),
}
# Members by whose value a line has another level. None: it is not told, for a line before said why.
OTHERWISE: Final[Mapping[str, Mapping[object, int | None]]] = {
    "outcome": {
        "busy": None,
        "too_many_attempts": None,
        "rotated": logging.DEBUG,  # a million times a day
        "replayed": logging.WARNING,
    },
    "reason": {"replay": logging.WARNING},
    "first": {False: None},
}

_FIRST: Final = ("timestamp", "level", "logger", "event", "request_id")
_OWN: Final = frozenset({"timestamp", "level", "logger"})  # made here: nothing to redact

_log = logging.getLogger("limen.events")


def configure(
    format: LogFormat,  # noqa: A002  the setting's name
    level: str,
    stream: TextIO | None = None,
) -> None:
    """Send all logging of this process to `stream` (standard error) in this format.

    For a process of limen's own; calling it again replaces the earlier configuration. `level` is
    one of `LEVELS`, in any case.

    Raises:
        ValueError: There is no such level or format.
    """
    threshold = LEVELS.get(level.lower())
    if threshold is None or format not in ("auto", "console", "json"):
        raise ValueError("There is no such log level or format.")
    stream = stream or sys.stderr
    as_json = format == "json" or (format == "auto" and not stream.isatty())
    handler = _Handler(stream)
    handler.setFormatter(_formatter(_json if as_json else _console))
    handler.addFilter(_is_told)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    for name, floor in FLOORS.items():
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate, logger.disabled = True, False
        logger.setLevel(max(threshold, floor))
    logging.captureWarnings(capture=True)


def log_events(event: Event) -> None:
    """Write the line for an event; a kind of event that is not listed is told by its class name."""
    line = LINES.get(type(event), (logging.INFO, type(event).__name__))
    if line is None:
        return
    usual, words = line
    known = {field.name: getattr(event, field.name) for field in fields(event)}
    level: int | None = usual
    for name, levels in OTHERWISE.items():
        level = levels.get(known.get(name), level)
    if level is None:
        return
    extra = {name: value for name, value in known.items() if value is not None}
    _log.log(level, words, extra=extra)


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  the library's name
        """Name the logger whose line failed; the library would print the raw arguments."""
        failed = logging.LogRecord(
            record.name, logging.ERROR, "", 0, "a log line could not be written", None, None
        )
        with suppress(Exception):  # the stream itself is gone: there is nobody left to tell
            self.stream.write(self.format(failed) + self.terminator)


def _is_told(record: logging.LogRecord) -> bool:
    return record.name != "uvicorn.error" or not any(words in str(record.msg) for words in UNTOLD)


def _formatter(render: Processor) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.ExtraAdder(),
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _redact,
            render,
        ],
    )


def _redact(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    line.pop("color_message", None)  # uvicorn's event once more, with colours
    ordered = [name for name in _FIRST if name in line]
    ordered += [name for name in line if name not in _FIRST]
    return {
        one_line(name): line[name] if name in _OWN else redact_member(name, line[name])
        for name in ordered
    }


def _json(_logger: WrappedLogger, _method: str, line: EventDict) -> str:
    return json.dumps(line)  # ASCII only, so every control character is an escape


def _console(_logger: WrappedLogger, _method: str, line: EventDict) -> str:
    head = [str(line.pop(name, "")) for name in ("timestamp", "level", "event", "logger")]
    traceback = str(line.pop("exception", ""))
    timestamp, level, event, logger = (one_line(text) for text in head)
    members = " ".join(f"{name}={_console_value(value)}" for name, value in line.items())
    text = f"{timestamp} {level:<8} {event} [{logger}] {members}".rstrip()
    return text + "".join(f"\n    | {one_line(row)}" for row in traceback.split("\n") if row)


def _console_value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and (not text or any(c in text for c in ' "=')):
        text = json.dumps(text, ensure_ascii=False)
    return one_line(text)
