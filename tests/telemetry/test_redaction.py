"""What looks like a secret does not get out, and what does not look like one stays readable."""

import time

import pytest

from limen.telemetry.redaction import MAX_TEXT, REDACTED, one_line, redact, redact_text

JWT = "eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ"

SHOWN_SECRETS = {
    "a jwt": (JWT, JWT[30:60]),
    "a jwt in a sentence": (f"cannot decode {JWT!r}.", "c2lnbmF0"),
    "a jwt cut short": (f"cannot decode {JWT[:50]}...", "eyJhbGci"),
    "three parts that are no json": (f"{'a' * 20}.{'b' * 20}.{'c' * 43}", "bbbb"),
    "bearer": ("got Bearer opaque-credential-1", "opaque"),
    "basic": ("got basic YWRhOmh1bnRlcjI=", "YWRh"),
    "an address": ("no account ada@example.com here", "ada"),
    "an address in brackets": ("Ada <ada@example.com>", "example"),
    "an address in a url": ("/confirm/ada%40example.com", "example"),
    "a full-width address": ("ada＠example.com", "ada"),
    "an irish address": ("o'brien+x@example.com", "brien"),
    "a unicode address": ("юзер@пример.рф", "юзер"),
    "an address after a percent sign": ("100%ada@example.com", "example"),
    "an address after an escape": ("%40ada@example.com", "example"),
    "credentials in a url": ("postgresql://limen:hun:ter2@db/limen", "ter2"),
    "an argon2 hash": ("found $argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA", "aGFzaA"),
    "one of Django's": ("found pbkdf2_sha256$1000000$salt$aGFzaA==", "aGFzaA"),
    "another": ("found bcrypt_sha256$$2b$12$abcdefghijklmnopqrstuv", "abcdef"),
    "a bcrypt hash": ("found $2b$12$abcdefghijklmnopqrstuv", "abcdef"),
    "a private key": (
        "x -----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----",
        "MIIEvQ",
    ),
    "a private key cut short": ("-----BEGIN RSA PRIVATE KEY-----\nMIIEvQ", "MIIEvQ"),
    "name=value": ("bad password=hunter2", "hunter2"),
    "name = value": ("LIMEN_SECRET = hunter2", "hunter2"),
    "name: value": ("New password: hunter2", "hunter2"),
    "a pass phrase": ("password=correct horse battery", "battery"),
    "a comparison": ("assert password == 'hunter2'", "hunter2"),
    "a repr": ("Login(user='ada', password='hun\\'ter2', x=1)", "ter2"),
    "a repr cut short": ("Login(password='hunter2", "hunter2"),
    "json": ('{"password": "hun\\"ter2", "x": 1}', "ter2"),
    "json in json": ('"{\\"password\\": \\"hunter2\\"}"', "hunter2"),
    "camel case json": ('{"refreshToken": "opaque"}', "opaque"),
    "bytes": ("{b'cookie': b'opaque'}", "opaque"),
    "a pair": ("[(b'cookie', b'opaque')]", "opaque"),
    "a header": ("Authorization: Digest opaque", "opaque"),
    "pydantic": ("[type=string_too_short, input_value='hunter2', input_type=str]", "hunter2"),
}


@pytest.mark.parametrize(
    ("text", "secret"),
    SHOWN_SECRETS.values(),
    ids=[name.replace(" ", "_") for name in SHOWN_SECRETS],
)
def test_a_secret_in_a_text_is_blotted_out(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in redact_text(text)
    assert REDACTED in redact_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "limen.errors.InvalidRefreshToken: The refresh token is not valid any more: sign in again.",
        "PasswordRefused: The password is shorter than 8 characters.",
        'File "/srv/limen/api/login.py", line 12, in login',
        "@app.get decorates",
        "matrix = a @ b",
        "sqlalchemy.exc.OperationalError: database is locked",
        "https://login.example.com/.well-known/jwks.json",
        "2026-11-20T10:00:00.000000Z",
        "",
    ],
)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    assert redact_text(text) == text


def test_a_text_that_was_redacted_is_not_eaten_further() -> None:
    once = redact_text("{'password': 'hunter2', 'attempt': 3}")

    assert once == "{'password': [redacted], 'attempt': 3}"
    assert redact_text(once) == once


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "new_password",
        "Passwd",
        "refresh_token",
        "refreshToken",
        "AUTHORIZATION",
        "Set-Cookie",
        "client_secret",
        "email",
        "e-mail",
        "api_key",
        "pwd",
        "otp",
        "fid",
        "Idempotency-Key",
    ],
)
def test_a_member_with_a_secrets_name_loses_its_value(name: str) -> None:
    assert redact({"outer": [{name: ["opaque"]}]}) == {"outer": [{name: REDACTED}]}
    assert redact([(name.encode(), b"opaque")]) == [[name, REDACTED]]


def test_harmless_members_keep_theirs() -> None:
    facts = {"sid": "s1", "user_id": "u1", "rows": 3, "took": 0.5, "ok": True, "none": None}

    assert redact(facts) == facts


def test_any_value_becomes_something_that_json_can_hold() -> None:
    class Rude:
        def __str__(self) -> str:
            raise RuntimeError("opaque")

    circle: list[object] = ["x"]
    circle.append(circle)

    assert redact({1: float("nan"), "b": b"\xff", "r": Rude()}) == {
        "1": "nan",
        "b": "\\xff",
        "r": "<Rude>",
    }
    assert "[too deep]" in str(redact(circle))


def test_a_long_text_is_cut_after_its_secrets_were_removed() -> None:
    shown = redact_text("x " * (MAX_TEXT // 2 - 2) + "ada@example.com" + " y" * MAX_TEXT)

    assert len(shown) < MAX_TEXT + 10
    assert "ada" not in shown


@pytest.mark.parametrize(
    "unit",
    ["a", "aA", "a@", "a.", "token", "token ", "password='", "password= ", "://", "%40", "'token\\",
     "bearer ", "$2a$", "ey", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "aA:", " "],
)  # fmt: skip
def test_a_hostile_text_takes_linear_time(unit: str) -> None:
    def seconds(length: int) -> float:
        text = unit * (length // len(unit))
        began = time.process_time()
        redact_text(text)
        return time.process_time() - began

    small = min(seconds(10_000) for _ in range(3))

    assert seconds(80_000) < 8 * small * 4 + 0.01  # quadratic would be 64 times as long


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\r\nb", "a\\r\\nb"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m \x85 \x7f \0", "\\x9b31m \\x85 \\x7f \\x00"),
        ("\u2028\u2029\u202e", "\\u2028\\u2029\\u202e"),
        ("\ud800", "\\ud800"),
        ("Grüße", "Grüße"),
    ],
    ids=["crlf", "ansi", "controls", "unicode lines", "surrogate", "letters"],
)
def test_one_line_stays_one_line(text: str, shown: str) -> None:
    assert one_line(text) == shown
