"""One event, one line, and nothing secret in it, whoever writes it."""

import io
import json
import logging
import sys
import warnings
from datetime import UTC, datetime, timedelta

import pytest
from structlog.contextvars import bound_contextvars

from limen import events
from limen.telemetry.logs import LINES, LogFormat, configure, log_events
from tests.telemetry.conftest import Logging

PASSWORD = "hunter2-correct-horse"
EMAIL = "ada.lovelace@example.com"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
CANARIES = (PASSWORD, EMAIL, "lovelace", TOKEN, "eyJzdWIi", "c2lnbmF0")

log = logging.getLogger("limen.test")


def test_a_line_is_one_object_in_a_fixed_order(logging_to: Logging) -> None:
    output = logging_to("json")
    with bound_contextvars(request_id="request-1"):
        log.warning("something %s", "happened", extra={"zebra": 1, "ape": [1, {"x": None}]})

    (line,) = output.objects()
    assert list(line) == ["timestamp", "level", "logger", "event", "request_id", "zebra", "ape"]
    assert line["level"] == "warning"
    assert line["logger"] == "limen.test"
    assert line["event"] == "something happened"
    assert line["request_id"] == "request-1"
    assert line["ape"] == [1, {"x": None}]
    assert line["timestamp"].endswith("Z")
    age = datetime.now(UTC) - datetime.fromisoformat(line["timestamp"])
    assert abs(age) < timedelta(minutes=1)


@pytest.mark.parametrize("name", ["uvicorn.error", "sqlalchemy.pool", "alembic.runtime", "anyone"])
def test_everybodys_lines_come_out_alike(name: str, logging_to: Logging) -> None:
    theirs = logging.getLogger(name)
    output = logging_to("json")
    theirs.warning("Listening on %s", 8000, extra={"color_message": "\x1b[1mListening"})

    (line,) = output.objects()
    assert line["logger"] == name
    assert line["event"] == "Listening on 8000"
    assert "color_message" not in line


def test_a_library_keeps_no_output_of_its_own(logging_to: Logging) -> None:
    aside = io.StringIO()
    logging.getLogger("sqlalchemy").addHandler(logging.StreamHandler(aside))
    output = logging_to("json")
    logging.getLogger("sqlalchemy.engine").warning("said once")

    assert aside.getvalue() == ""
    assert len(output.lines()) == 1


def test_a_warning_is_a_line_too(logging_to: Logging) -> None:
    with warnings.catch_warnings():
        output = logging_to("json")
        warnings.simplefilter("always")
        warnings.warn(f"{EMAIL} is deprecated", stacklevel=1)

    (line,) = output.objects()
    assert line["logger"] == "py.warnings"
    assert EMAIL not in line["event"]


def test_no_secret_reaches_the_output(logging_to: Logging, any_format: LogFormat) -> None:
    output = logging_to(any_format)
    log.info("to %s with password=%s", EMAIL, PASSWORD, extra={"password": PASSWORD})
    log.info("fields", extra={"form": {"email": EMAIL, "refresh_token": [TOKEN]}, "note": TOKEN})
    log.info("headers", extra={"headers": [(b"authorization", b"Bearer " + TOKEN.encode())]})
    log.info("cookie", extra={"headers": ((b"cookie", PASSWORD.encode()),)})
    with bound_contextvars(request_id=TOKEN):
        log.info("context")
    logging.getLogger("uvicorn.error").warning("bad header %r", f"authorization: {PASSWORD}")

    assert len(output.lines()) == 6
    for canary in CANARIES:
        assert canary not in output.text()


def test_no_secret_reaches_the_output_through_an_exception(
    logging_to: Logging, any_format: LogFormat
) -> None:
    output = logging_to(any_format)
    local_variable = PASSWORD
    try:
        try:
            raise KeyError(EMAIL, {"password": local_variable})  # noqa: TRY301  to be the cause
        except KeyError as error:
            error.add_note(f"while reading {TOKEN}")
            raise RuntimeError(f"token {TOKEN} of {EMAIL}, password: {PASSWORD}") from error
    except RuntimeError:
        log.exception("failed")

    text = output.text()
    assert "RuntimeError" in text
    assert "KeyError" in text
    assert "test_logs.py" in text
    for canary in CANARIES:
        assert canary not in text


def test_a_line_that_cannot_be_written_does_not_show_its_arguments(
    logging_to: Logging, any_format: LogFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    output = logging_to(any_format)
    log.info("%d", PASSWORD)

    assert "a log line could not be written" in output.text()
    assert "limen.test" in output.text()
    assert PASSWORD not in output.text() + "".join(capsys.readouterr())


ATTACK = (
    "ada\r\n2026-01-01T00:00:00Z info     signed in [limen.events]\x1b[2K\x1b[1A\x9b\u2028\u202e\0"
)


def test_an_attack_on_the_line_stays_on_one_line(
    logging_to: Logging, any_format: LogFormat
) -> None:
    output = logging_to(any_format)
    log.info("user %s", ATTACK, extra={"agent": ATTACK, ATTACK: 1, "deep": [{ATTACK: ATTACK}]})

    text = output.text()
    assert text.endswith("\n")
    assert text[:-1].isprintable()
    assert "\\u202e" in text


def test_a_traceback_on_the_console_cannot_pass_for_a_line(logging_to: Logging) -> None:
    output = logging_to("console")
    try:
        raise RuntimeError(ATTACK)  # noqa: TRY301  to have a traceback
    except RuntimeError:
        log.exception("failed")

    first, *rest = output.text().rstrip("\n").split("\n")
    assert first.endswith("failed [limen.test]")
    assert len(rest) > 3
    assert all(row.startswith("    | ") and row.isprintable() for row in rest)


def test_the_console_is_readable(logging_to: Logging) -> None:
    output = logging_to("console")
    log.info("request", extra={"route": "login", "status": 200, "words": "a b", "empty": ""})

    (line,) = output.lines()
    assert line.endswith(
        'info     request [limen.test] route=login status=200 words="a b" empty=""'
    )


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
def test_auto_is_console_on_a_terminal_and_json_elsewhere(
    terminal: bool,  # noqa: FBT001  a table's column
    logging_to: Logging,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logging_to("json")  # puts everything back at the end
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    configure("auto", "INFO")
    log.info("hello")
    log.debug("too quiet")

    (line,) = stream.getvalue().splitlines()
    assert line.startswith("{") is not terminal


@pytest.mark.parametrize(("format", "level"), [("xml", "info"), ("json", "loud"), ("json", "")])
def test_a_wrong_setting_changes_nothing(format: str, level: str) -> None:  # noqa: A002
    before = logging.getLogger().handlers[:]

    with pytest.raises(ValueError, match="no such log level or format"):
        configure(format, level)  # type: ignore[arg-type]
    assert logging.getLogger().handlers == before


@pytest.mark.parametrize(
    ("name", "level", "message"),
    [
        ("sqlalchemy.engine.Engine", logging.INFO, "SELECT ... [parameters]"),
        ("aiosqlite", logging.DEBUG, "executing functools.partial(...)"),
        ("websockets.server", logging.DEBUG, "< authorization: opaque"),
        ("uvicorn.error", logging.DEBUG, "< authorization: opaque"),
        ("uvicorn.access", logging.INFO, '1.2.3.4 - "GET /reset?code=opaque HTTP/1.1" 200'),
        ("python_multipart.multipart", logging.DEBUG, "Calling on_field_data"),
    ],
)
def test_others_cannot_become_more_talkative_than_is_safe(
    name: str, level: int, message: str, logging_to: Logging
) -> None:
    output = logging_to("json", "debug")
    logging.getLogger(name).log(level, message)

    assert output.text() == ""


def test_the_servers_own_lines_on_handshakes_are_left_out(
    logging_to: Logging,
) -> None:
    output = logging_to("json")
    server = logging.getLogger("uvicorn.error")
    server.info('%s - "WebSocket %s" [accepted]', "1.2.3.4:5", "/ws?code=opaque")
    server.error("ASGI callable returned without completing handshake.")
    server.warning("No supported WebSocket library detected. Please use something else.")
    server.info("Application startup complete.")

    assert [line["event"] for line in output.objects()] == ["Application startup complete."]


def test_a_mounted_limen_follows_the_applications_logging(caplog: pytest.LogCaptureFixture) -> None:
    handlers = logging.getLogger().handlers[:]
    with caplog.at_level(logging.INFO, logger="limen"):
        log_events(events.SignIn("success", user_id="u1", sid="s1"))

    (record,) = caplog.records
    assert (record.name, record.levelname) == ("limen.events", "INFO")
    assert (record.getMessage(), vars(record)["sid"]) == ("sign-in", "s1")
    assert logging.getLogger().handlers == handlers


@pytest.mark.parametrize(
    ("event", "level", "shown"),
    [
        (events.SignIn("success", "u1", "s1"), "info", {"outcome": "success", "sid": "s1"}),
        (events.SignIn("invalid_credentials"), "info", {"outcome": "invalid_credentials"}),
        (events.LimitHit("login"), "warning", {"limit": "login"}),
        (events.Refreshed("rotated", "s1"), "debug", {"outcome": "rotated"}),
        (events.Refreshed("superseded", "s1"), "info", {"outcome": "superseded"}),
        (events.Refreshed("replayed", "s1"), "warning", {"outcome": "replayed", "sid": "s1"}),
        (events.SessionEnded("s1", "logout", "u1"), "info", {"reason": "logout"}),
        (events.SessionEnded("s1", "replay", "u1"), "warning", {"reason": "replay"}),
        (events.DatabaseFailed("OperationalError"), "error", {"kind": "OperationalError"}),
        (events.HashingRefused(), "warning", {}),
        (events.KeyCreated("k1", "RS256"), "info", {"kid": "k1", "algorithm": "RS256"}),
        (events.Swept("sessions", 3), "debug", {"table": "sessions", "rows": 3}),
        (events.AccountChanged("u1", "disabled"), "info", {"change": "disabled"}),
        (events.PasswordUpgraded("u1", "bcrypt"), "info", {"user_id": "u1", "scheme": "bcrypt"}),
        (events.Registered("u1"), "info", {"user_id": "u1"}),
    ],
    ids=repr,
)
def test_an_event_is_one_line_at_its_level(
    event: events.Event, level: str, shown: dict[str, object], logging_to: Logging
) -> None:
    output = logging_to("json")
    log_events(event)

    (line,) = output.objects()
    assert line["level"] == level
    assert line["logger"] == "limen.events"
    assert shown.items() <= line.items()
    assert None not in line.values()


def test_a_computed_hash_is_counted_and_not_told(logging_to: Logging) -> None:
    output = logging_to("json")
    log_events(events.PasswordHashed(waited=0.1, took=0.2))

    assert output.text() == ""


@pytest.mark.parametrize("outcome", ["busy", "too_many_attempts"])
def test_a_refusal_is_one_line_and_a_flood_no_more_than_that(
    outcome: events.SignInOutcome, logging_to: Logging
) -> None:
    output = logging_to("json")
    log_events(events.HashingRefused())
    log_events(events.SignIn(outcome))
    log_events(events.HashingRefused(first=False))
    log_events(events.SignIn(outcome))

    (line,) = output.objects()
    assert line["event"] == "hashing queue full"


def test_every_kind_of_event_has_its_line() -> None:
    kinds = [kind for kind in vars(events).values() if isinstance(kind, type)]

    assert set(LINES) == {kind for kind in kinds if issubclass(kind, events.Event)} - {events.Event}


def test_json_holds_what_no_log_field_should_be(logging_to: Logging) -> None:
    output = logging_to("json")
    log.info("odd", extra={"nan": float("nan"), "lone": "\ud800", "object": object, "raw": b"\xff"})

    assert "NaN" not in output.text()
    assert json.loads(output.text())["lone"] == "\ud800"
