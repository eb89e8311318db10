"""Options: what is taken, what is refused, and that one line says why."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import FrozenInstanceError
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from limen.database.address import sqlite_path
from limen.errors import ConfigurationError
from limen.settings import Argon2Cost, Limit, Settings

SECRET = "Zk3v9-QmT0xWc7_RyLb2NdHs5FgJpUeA1iXoM4tB6Vw"
OLDER = "qP8rKz_1LwYhC3mXvT6bNs0JdGf9RuEa-5oWi2Hk7Qy"
PAGE = Path(__file__).parent.parent / "docs" / "settings.md"


def settings(**environ: str) -> Settings:
    return Settings.from_environment({f"LIMEN_{name}": value for name, value in environ.items()})


def refused(environ: Mapping[str, str]) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_environment(environ)
    return caught.value


def test_nothing_has_to_be_set() -> None:
    found = Settings.from_environment({})

    assert found == Settings()
    assert sqlite_path(found.database_url) == Path("limen-data/limen.db")
    assert found.access_token_lifetime == 1800
    assert found.login_limit == Limit(5, 900)
    assert found.secret is None
    assert found.hash_threads >= 1


GOOD: list[tuple[str, str, object]] = [
    ("DATA_DIR", "/srv/limen", Path("/srv/limen")),
    ("DATABASE_URL", "sqlite:///a b.db", "sqlite:///a b.db"),
    ("DATABASE_URL", "sqlite+aiosqlite:////srv/a.db", "sqlite:////srv/a.db"),
    ("SECRET", SECRET, (SECRET,)),
    ("SECRET", f"{SECRET}, {OLDER}", (SECRET, OLDER)),
    ("PUBLIC_URL", "https://Login.Example.com/", "https://login.example.com"),
    ("PUBLIC_URL", "https://example.com:8443/limen/", "https://example.com:8443/limen"),
    ("PUBLIC_URL", "http://127.0.0.1:8123", "http://127.0.0.1:8123"),
    ("PUBLIC_URL", "http://[::1]:8123", "http://[::1]:8123"),
    ("AUDIENCE", "https://api.example.com", "https://api.example.com"),
    ("ACCESS_TOKEN_LIFETIME", "30m", 1800),
    ("ACCESS_TOKEN_LIFETIME", "90s", 90),
    ("ACCESS_TOKEN_LIFETIME", "1h30m", 5400),
    ("ACCESS_TOKEN_LIFETIME", "1800s", 1800),
    ("REFRESH_TOKEN_LIFETIME", "7d", 604800),
    ("REFRESH_TOKEN_LIFETIME", "90d", 7776000),
    ("REFRESH_REUSE_GRACE", "60s", 60),
    ("LOGIN_LIMIT", "100 per 7d", Limit(100, 604800)),
    ("REGISTRATION", "closed", "closed"),
    ("SIGNING_ALGORITHM", "ES256", "ES256"),
    ("SIGNING_ALGORITHM", "EdDSA", "Ed25519"),
    ("SIGNING_ALGORITHM", "ed25519", "Ed25519"),
    ("TRUSTED_PROXIES", "", ()),
    (
        "TRUSTED_PROXIES",
        "10.0.0.0/8, 2001:db8::5",
        (ip_network("10.0.0.0/8"), ip_network("2001:db8::5/128")),
    ),
    ("PASSWORD_HASH", "argon2id:m=65536,t=3,p=4", Argon2Cost(65536, 3, 4)),
    ("PASSWORD_HASH", "argon2id:m=7168,t=5,p=1", Argon2Cost(7168, 5, 1)),
    ("PASSWORD_MIN_LENGTH", "15", 15),
    ("BREACHED_PASSWORDS_URL", "", None),
    (
        "BREACHED_PASSWORDS_URL",
        "https://pwned.example.com/range/",
        "https://pwned.example.com/range",
    ),
    ("BREACHED_PASSWORDS_URL", "http://127.0.0.1:81/range", "http://127.0.0.1:81/range"),
    ("BREACHED_PASSWORDS_DOWN", "refuse", "refuse"),
    ("DATABASE_URL", "postgres://ada@db/limen", "postgresql://ada@db/limen"),
    ("DATABASE_URL", "postgresql+psycopg:///limen", "postgresql:///limen"),
    (
        "DATABASE_URL",
        "postgresql://a,b:5433/limen?target_session_attrs=read-write&sslmode=verify-full",
        "postgresql://a,b:5433/limen?target_session_attrs=read-write&sslmode=verify-full",
    ),
    ("DATABASE_CONNECTIONS", "20", 20),
    ("DATABASE_STATEMENT_TIMEOUT", "10s", 10),
    ("DATABASE_POOLER", "transaction", "transaction"),
    ("SERVICE_NAME", "Ada's Büro", "Ada's Büro"),
    ("HASH_THREADS", "3", 3),
    ("HASH_QUEUE_TIME", "1m", 60),
    ("LOG_FORMAT", "json", "json"),
    ("LOG_LEVEL", "DEBUG", "debug"),
    ("DOCS", "off", False),
    ("METRICS", "on", True),
]


@pytest.mark.parametrize(("name", "text", "value"), GOOD, ids=[f"{n}={t}" for n, t, _ in GOOD])
def test_a_good_value_is_taken(name: str, text: str, value: object) -> None:
    found = settings(**{name: text})

    assert getattr(found, name.lower()) == value


@pytest.mark.parametrize(("name", "text", "value"), GOOD, ids=[f"{n}={t}" for n, t, _ in GOOD])
def test_a_program_may_give_the_value_or_its_text(name: str, text: str, value: object) -> None:
    by_value: Any = {name.lower(): value}
    by_text: Any = {name.lower(): text}

    assert Settings(**by_value) == Settings(**by_text) == settings(**{name: text})


BAD: list[tuple[str, str]] = [
    ("DATA_DIR", ""),
    ("DATA_DIR", "~/limen"),
    ("DATA_DIR", "a\nb"),
    ("DATABASE_URL", ""),
    ("DATABASE_URL", "limen.db"),
    ("DATABASE_URL", "sqlite://"),
    ("DATABASE_URL", "sqlite:///"),
    ("DATABASE_URL", "sqlite://limen.db"),
    ("DATABASE_URL", "sqlite:///:memory:"),
    ("DATABASE_URL", "sqlite:///file:limen.db"),
    ("DATABASE_URL", "sqlite:///limen.db?mode=ro"),
    ("DATABASE_URL", "postgresql://db"),
    ("DATABASE_URL", "postgresql://ada:hunter2@db/"),
    ("DATABASE_URL", "postgresql://ada:hunter2@db/?dbname=limen"),
    ("DATABASE_URL", "postgresql://ada:hunter 2@db/limen"),
    ("DATABASE_URL", "postgresql:limen"),
    ("DATABASE_CONNECTIONS", "0"),
    ("DATABASE_STATEMENT_TIMEOUT", "61s"),
    ("DATABASE_POOLER", "session"),
    ("DATABASE_URL", "mysql:///limen"),
    ("SECRET", ""),
    ("SECRET", "hunter2"),
    ("SECRET", f"{SECRET},"),
    ("SECRET", f"{SECRET},hunter2"),
    ("PUBLIC_URL", ""),
    ("PUBLIC_URL", "login.example.com"),
    ("PUBLIC_URL", "http://login.example.com"),
    ("PUBLIC_URL", "http://localhost.example.com"),
    ("PUBLIC_URL", "ftp://localhost"),
    ("PUBLIC_URL", "https://"),
    ("PUBLIC_URL", "https://ada:hunter2@example.com"),
    ("PUBLIC_URL", "https://example.com?"),
    ("PUBLIC_URL", "https://example.com/#a"),
    ("PUBLIC_URL", "https://example.com:port"),
    ("PUBLIC_URL", "https://example.com:0"),
    ("PUBLIC_URL", "https://[::1"),
    ("PUBLIC_URL", "https://[v1.a]"),
    ("PUBLIC_URL", "https://exämple.com"),
    ("PUBLIC_URL", "https://exa\tmple.com"),
    ("PUBLIC_URL", "https://example.com "),
    ("AUDIENCE", ""),
    ("AUDIENCE", "two words"),
    ("ACCESS_TOKEN_LIFETIME", ""),
    ("ACCESS_TOKEN_LIFETIME", "1800"),
    ("ACCESS_TOKEN_LIFETIME", "0s"),
    ("ACCESS_TOKEN_LIFETIME", "25h"),
    ("ACCESS_TOKEN_LIFETIME", "30 m"),
    ("ACCESS_TOKEN_LIFETIME", "30M"),
    ("ACCESS_TOKEN_LIFETIME", "30m1h"),
    ("ACCESS_TOKEN_LIFETIME", "-30m"),
    ("ACCESS_TOKEN_LIFETIME", "1.5h"),
    ("ACCESS_TOKEN_LIFETIME", "٣٠m"),
    ("ACCESS_TOKEN_LIFETIME", "9" * 5000 + "m"),
    ("REFRESH_TOKEN_LIFETIME", "366d"),
    ("SESSION_LIFETIME", "731d"),
    ("REFRESH_REUSE_GRACE", "61s"),
    ("REFRESH_REUSE_GRACE", "0"),
    ("LOGIN_LIMIT", "5"),
    ("LOGIN_LIMIT", "5/15m"),
    ("LOGIN_LIMIT", "0 per 15m"),
    ("LOGIN_LIMIT", "101 per 15m"),
    ("LOGIN_LIMIT", "5 per 0s"),
    ("LOGIN_LIMIT", "5 per 8d"),
    ("LOGIN_LIMIT", "5 per 15"),
    ("LOGIN_ADDRESS_LIMIT", "1001 per 15m"),
    ("REGISTER_ADDRESS_LIMIT", "many"),
    ("REGISTRATION", "yes"),
    ("SIGNING_ALGORITHM", "none"),
    ("SIGNING_ALGORITHM", ""),
    ("TRUSTED_PROXIES", "*"),
    ("TRUSTED_PROXIES", "0.0.0.0/0"),
    ("TRUSTED_PROXIES", "0.0.0.0/1,128.0.0.0/1"),
    ("TRUSTED_PROXIES", "::/0"),
    ("TRUSTED_PROXIES", "2000::/3"),
    ("TRUSTED_PROXIES", "::ffff:0:0/96"),
    ("TRUSTED_PROXIES", "fe80::1%eth0"),
    ("TRUSTED_PROXIES", "10.0.0.1/8"),
    ("TRUSTED_PROXIES", "10.0.0.1,"),
    ("TRUSTED_PROXIES", "proxy.example.com"),
    ("PASSWORD_HASH", "bcrypt"),
    ("PASSWORD_HASH", "argon2i:m=19456,t=2,p=1"),
    ("PASSWORD_HASH", "argon2id:m=19455,t=2,p=1"),
    ("PASSWORD_HASH", "argon2id:m=47103,t=1,p=1"),
    ("PASSWORD_HASH", "argon2id:m=7167,t=16,p=1"),
    ("PASSWORD_HASH", "argon2id:m=262145,t=2,p=1"),
    ("PASSWORD_HASH", "argon2id:m=19456,t=17,p=1"),
    ("PASSWORD_HASH", "argon2id:m=19456,t=2,p=17"),
    ("PASSWORD_HASH", "argon2id:m=19456,t=2,p=0"),
    ("PASSWORD_MIN_LENGTH", "7"),
    ("PASSWORD_MIN_LENGTH", "65"),
    ("PASSWORD_MIN_LENGTH", "8.0"),
    ("BREACHED_PASSWORDS_URL", "http://pwned.example.com/range"),
    ("BREACHED_PASSWORDS_URL", "https://hunter2@pwned.example.com/range"),
    ("BREACHED_PASSWORDS_URL", "https://pwned.example.com/range?prefix="),
    ("BREACHED_PASSWORDS_URL", "file:///pwned"),
    ("BREACHED_PASSWORDS_DOWN", "ignore"),
    ("SERVICE_NAME", ""),
    ("SERVICE_NAME", " limen"),
    ("SERVICE_NAME", "a\tb"),
    ("SERVICE_NAME", "a" * 65),
    ("HASH_THREADS", "0"),
    ("HASH_THREADS", "257"),
    ("HASH_QUEUE_TIME", "61s"),
    ("LOG_FORMAT", "xml"),
    ("LOG_LEVEL", "loud"),
    ("DOCS", "true"),
    ("METRICS", ""),
]


@pytest.mark.parametrize(("name", "text"), BAD, ids=[f"{n}={t[:40]!r}" for n, t in BAD])
def test_a_bad_value_is_refused_with_one_that_works(name: str, text: str) -> None:
    error = refused({f"LIMEN_{name}": text})
    line = str(error)
    works = line.rpartition("; for example ")[2]

    assert error.variable == f"LIMEN_{name}"
    assert line.startswith(f"LIMEN_{name}: ")
    assert "\n" not in line
    assert "hunter2" not in line
    if name != "SECRET":  # what works there is made by a command
        settings(**{name: works})


@pytest.mark.parametrize(
    "value",
    [True, -1, 0, 1800.0, None, b"30m", "1800", [], pytest.param(object(), id="an object")],
    ids=repr,
)
def test_a_program_cannot_give_what_the_environment_could_not(value: object) -> None:
    given: Any = {"access_token_lifetime": value}

    with pytest.raises(ConfigurationError, match="LIMEN_ACCESS_TOKEN_LIFETIME"):
        Settings(**given)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("secret", (SECRET.encode(),)),
        ("secret", ()),
        ("secret", 7),
        ("trusted_proxies", 7),
        ("trusted_proxies", (7,)),
        ("password_hash", Argon2Cost(8, 1, 1)),
        ("login_limit", Limit(0, 900)),
        ("login_limit", Limit(5, 0)),
        ("docs", 1),
        ("log_level", None),
        ("audience", 7),
        ("database_url", Path("limen.db")),
        ("data_dir", None),
    ],
    ids=repr,
)
def test_a_value_of_the_wrong_kind_is_refused(name: str, value: object) -> None:
    given: Any = {name: value}

    with pytest.raises(ConfigurationError, match=f"LIMEN_{name.upper()}"):
        Settings(**given)


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({"ACCESS_TOKEN_LIFETIME": "8h", "REFRESH_TOKEN_LIFETIME": "7h"}, "REFRESH_TOKEN_LIFETIME"),
        ({"ACCESS_TOKEN_LIFETIME": "8h", "REFRESH_TOKEN_LIFETIME": "8h"}, "REFRESH_TOKEN_LIFETIME"),
        ({"REFRESH_TOKEN_LIFETIME": "91d"}, "SESSION_LIFETIME"),
        ({"SESSION_LIFETIME": "6d"}, "SESSION_LIFETIME"),
    ],
    ids=["refresh shorter", "refresh equal", "refresh beyond session", "session too short"],
)
def test_lifetimes_must_be_in_order(environ: dict[str, str], variable: str) -> None:
    error = refused({f"LIMEN_{name}": value for name, value in environ.items()})
    works = str(error).rpartition("; for example ")[2]

    assert error.variable == f"LIMEN_{variable}"
    settings(**environ | {variable: works})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("LIMEN_LOGIN_LIMT", "LIMEN_LOGIN_LIMIT"),
        ("LIMEN_SECRETS", "LIMEN_SECRET"),
        ("LIMEN_ACCESS_TOKEN_LIFETIME_FILE", "LIMEN_ACCESS_TOKEN_LIFETIME"),
        ("LIMEN_DATABASE__URL", "LIMEN_DATABASE_URL"),
        ("limen_audience", "LIMEN_AUDIENCE"),
        ("LIMEN_PORT", ""),
        ("LIMEN_", ""),
    ],
)
def test_an_unknown_name_is_refused_and_the_nearest_named(name: str, meant: str) -> None:
    error = refused({name: "hunter2"})

    assert error.variable == name
    assert f"perhaps {meant} is meant" in str(error) or not meant
    assert "hunter2" not in str(error)


def test_names_of_others_are_left_alone() -> None:
    kubernetes = {
        "LIMEN_SERVICE_HOST": "10.96.0.7",
        "LIMEN_SERVICE_PORT": "8000",
        "LIMEN_SERVICE_PORT_HTTP": "8000",
        "LIMEN_PORT": "tcp://10.96.0.7:8000",
        "LIMEN_PORT_8000_TCP": "tcp://10.96.0.7:8000",
        "LIMEN_PORT_8000_TCP_ADDR": "10.96.0.7",
        "LIMEN_METRICS_SERVICE_HOST": "10.96.0.8",
    }
    others = {"LIMENTAL": "1", "PATH": "/bin", "LIMEN_TEST_SEED": "7"}

    assert Settings.from_environment(kubernetes | others) == Settings()


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"], ids=repr)
def test_secrets_and_database_may_lie_in_files(tmp_path: Path, ending: str) -> None:
    secret, database = tmp_path / "secret", tmp_path / "url"
    secret.write_bytes(f"{SECRET},{OLDER}{ending}".encode())
    database.write_bytes(f"sqlite:////srv/a.db{ending}".encode())
    found = settings(SECRET_FILE=str(secret), DATABASE_URL_FILE=str(database))

    assert found.secret == (SECRET, OLDER)
    assert sqlite_path(found.database_url) == Path("/srv/a.db")


def test_a_setting_and_its_file_exclude_each_other(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)

    error = refused({"LIMEN_SECRET": SECRET, "LIMEN_SECRET_FILE": str(tmp_path / "secret")})

    assert error.variable == "LIMEN_SECRET"
    assert "LIMEN_SECRET_FILE" in str(error)


@pytest.mark.parametrize(
    "content", [None, b"", b"hunter2\n", b"\xff" * 40], ids=["none", "empty", "short", "not UTF-8"]
)
def test_a_bad_file_is_named_by_its_variable(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)

    error = refused({"LIMEN_SECRET_FILE": str(path)})

    assert error.variable == "LIMEN_SECRET_FILE"
    assert "hunter2" not in str(error)


def test_secrets_are_never_shown() -> None:
    found = settings(SECRET=f"{SECRET},{OLDER}")
    shown = f"{found!r} {found} {found.describe()}"

    assert SECRET not in shown
    assert OLDER not in shown
    assert "hidden (2)" in shown


def test_what_is_shown_can_be_set_again_and_says_where_it_came_from() -> None:
    found = settings(LOGIN_LIMIT="7 per 1h30m", ACCESS_TOKEN_LIFETIME="30m")
    shown = {row.variable: row for row in found.describe()}
    again = {name: row.value for name, row in shown.items() if name != "LIMEN_SECRET"}

    assert Settings.from_environment(again) == found
    assert shown["LIMEN_LOGIN_LIMIT"].value == "7 per 1h30m"
    assert shown["LIMEN_LOGIN_LIMIT"].source == "environment"
    assert shown["LIMEN_ACCESS_TOKEN_LIFETIME"].source == "environment"
    assert shown["LIMEN_DATABASE_URL"].source == "default"
    program = {row.variable: row.source for row in Settings(data_dir=Path("/srv")).describe()}
    assert program["LIMEN_DATA_DIR"] == "program"
    assert program["LIMEN_DATABASE_URL"] == "default"


def test_settings_cannot_be_changed() -> None:
    name = "audience"
    with pytest.raises(FrozenInstanceError):
        setattr(Settings(), name, "another")


def test_a_mistake_stops_the_start_at_once() -> None:
    """In a new process, so that the time to import is counted."""
    program = "from limen.settings import Settings; Settings.from_environment()"
    environ = os.environ | {"LIMEN_ACCESS_TOKEN_LIFETIME": "1800"}

    began = time.monotonic()
    run = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=False
    )
    took = time.monotonic() - began

    assert run.stderr.splitlines()[-1].endswith(
        "LIMEN_ACCESS_TOKEN_LIFETIME: needs a unit, one of d, h, m and s; for example 30m"
    )
    assert took < 1, f"took {took:.2f} s"


def test_reading_settings_loads_neither_a_framework_nor_a_database_driver() -> None:
    program = "import sys, limen.settings; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", program], text=True).split()

    assert not {"fastapi", "pydantic", "sqlalchemy", "argon2", "joserfc"} & set(loaded)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ada:hunter2@db/limen", "postgresql://ada:***@db/limen"),
        ("postgresql://:hunter2@/limen", "postgresql://:***@/limen"),
        ("postgresql://db/limen?password=hunter2&sslmode=require",
         "postgresql://db/limen?password=***&sslmode=require"),
        ("postgresql://db/limen?user=ada&sslpassword=hunter2",
         "postgresql://db/limen?user=ada&sslpassword=***"),
        ("postgresql://ada@db:5432,other:5433/limen", "postgresql://ada@db:5432,other:5433/limen"),
    ],
)  # fmt: skip
def test_the_password_of_the_database_is_shown_nowhere(url: str, shown: str) -> None:
    found = settings(DATABASE_URL=url)

    assert {option.variable: option.value for option in found.describe()}[
        "LIMEN_DATABASE_URL"
    ] == shown
    assert "hunter2" not in repr(found)


def test_the_page_lists_every_option_as_the_class_does() -> None:
    first_table = PAGE.read_text("utf-8").partition("\n## ")[0]
    rows = re.findall(r"^\| `(LIMEN_\w+)` \| (.+?) \| (.+?) \|$", first_table, re.MULTILINE)
    table = [
        (f"LIMEN_{name.upper()}", f"`{text}`" if text else "none", row.metadata["reason"])
        for name, row in Settings.__dataclass_fields__.items()
        if row.metadata
        for text in [row.metadata["text"]]
    ]

    assert rows == table
