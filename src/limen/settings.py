"""Every option: its name, its default and the reason for it.

The class below is the table. An attribute `login_limit` is the variable LIMEN_LOGIN_LIMIT, and
every value passes through the text that it has there:

    the environment   "30m"   parse   1800
    a program          1800   write   "30m"   parse   1800

so that `Settings(access_token_lifetime=1800)` is held to the same rules; "30m" may stand there as
well. The first mistake stops the start with one line: which variable, what is wrong, a value that
works. It never repeats a value, which may be a secret that got into the wrong variable. A name
that begins with LIMEN_ and is no option is a mistake too: a misspelt option would do nothing.

LIMEN_SECRET_FILE and LIMEN_DATABASE_URL_FILE name files that hold the values of those two.
"""

# ruff: noqa: RUF009  each row of the table is a call that makes an immutable default

import os
import re
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, TypeVar, cast

from limen.database.address import without_password
from limen.errors import ConfigurationError
from limen.option_kinds import (
    COST,
    DATABASE,
    DIRECTORY,
    ISSUER,
    LIST,
    MAILBOX,
    NETWORKS,
    SECRETS,
    SMTP,
    SWITCH,
    Argon2Cost,
    Kind,
    Limit,
    Network,
    choice,
    cores,
    count,
    duration,
    label,
    limit,
    optional,
)
from limen.secret import HOW_TO_MAKE_ONE

__all__ = ["Argon2Cost", "Limit", "Settings", "Shown"]

T = TypeVar("T")
_PREFIX = "LIMEN_"
_FOR_TESTS = "LIMEN_TEST_"
_MAX_FILE_BYTES = 64 * 1024

# What Kubernetes puts into the environment of every pod beside a service that is named limen.
_KUBERNETES = re.compile(
    r"LIMEN_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)=|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?="
    r"|PORT=(tcp|udp|sctp)://)"
)


class Shown(NamedTuple):
    """An option as a person may see it: secrets are hidden."""

    variable: str
    value: str
    source: Literal["environment", "program", "default"]
    reason: str


def _option(
    kind: Kind[T], default: str | None, reason: str, *, works: str = "", file: bool = False
) -> T:
    """Return a row of the table; `default` is a text, and None stands for no value at all."""
    value = cast("T", None) if default is None else kind.parse(default)
    about = {"kind": kind, "text": default, "reason": reason, "works": works or default}
    return field(default=value, repr=not file, metadata=about | {"file": file})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """limen's options. Durations are whole seconds.

    Raises:
        ConfigurationError: A value is not good; it names the variable.
    """

    data_dir: Path = _option(
        DIRECTORY,
        "./limen-data",
        "One place to keep and to back up: the database and the secret. Made at first start, "
        "for this user alone.",
    )
    database_url: str = _option(
        DATABASE,
        "sqlite:///{data_dir}/limen.db",
        "Nothing to install, and safe for one machine. `{data_dir}` stands for LIMEN_DATA_DIR.",
        file=True,
    )
    database_connections: int = _option(
        count(1, 200),
        "10",
        "Of each worker, to PostgreSQL. A refresh holds one for a millisecond; what PostgreSQL "
        "allows is shared by all workers.",
    )
    database_statement_timeout: int = _option(
        duration("1s", "60s"), "5s", "A statement that takes longer is an outage, answered 503."
    )
    database_pooler: Literal["none", "transaction"] = _option(
        choice("none", "transaction"),
        "none",
        "`transaction` behind PgBouncer in that mode: nothing is prepared, nothing listened to.",
    )
    secret: tuple[str, ...] | None = _option(
        SECRETS,
        None,
        "Without it, a random secret is made in the data directory. Several, newest first and "
        "with commas between them, make a rotation.",
        works=HOW_TO_MAKE_ONE,
        file=True,
    )
    public_url: str = _option(
        ISSUER,
        "http://localhost:8000",
        "The issuer that tokens name, and where people reach limen. Plain http only on this "
        "machine, because tokens travel with every request.",
        works="https://login.example.com",
    )
    audience: str = _option(
        label(r"[!-~]{1,200}", "must be 1 to 200 visible ASCII characters, without spaces"),
        "limen",
        "Whom access tokens are meant for; a verifier refuses those meant for others.",
    )
    access_token_lifetime: int = _option(
        duration("1s", "24h"),
        "30m",
        "How long a verifier that cannot follow revocations would believe a stolen token.",
    )
    refresh_token_lifetime: int = _option(
        duration("1s", "365d"), "7d", "How long a device may be away without signing in again."
    )
    session_lifetime: int = _option(
        duration("1s", "730d"), "90d", "However often it is refreshed, a session ends after this."
    )
    refresh_reuse_grace: int = _option(
        duration("0s", "60s"),
        "0s",
        "A used refresh token ends its session at once (RFC 9700, section 4.14.2). Clients that "
        "cannot send an Idempotency-Key may need some seconds, which a thief has then too.",
    )
    login_limit: Limit = _option(
        limit(100),
        "5 per 15m",
        "Failed sign-ins of one account: enough for a bad memory, too few for guessing.",
    )
    login_address_limit: Limit = _option(
        limit(1000),
        "50 per 15m",
        "Failed sign-ins from one address, whatever the account: an office behind one address "
        "passes, a list of leaked passwords does not.",
    )
    register_address_limit: Limit = _option(
        limit(1000), "100 per 15m", "New accounts from one address: a class of pupils, not a flood."
    )
    registration: Literal["open", "invite", "closed"] = _option(
        choice("open", "invite", "closed"),
        "open",
        "Who may make an account: anybody, whom `limen users invite` has invited, or nobody but "
        "`limen users create`.",
    )
    unverified_sign_in: Literal["allow", "refuse"] = _option(
        choice("allow", "refuse"),
        "allow",
        "Whether an account may sign in before its address was verified. Allowed, tokens and `me` "
        "say that it was not.",
    )
    special_email_domains: bool = _option(
        SWITCH,
        "off",
        "Admit addresses that public mail never reaches, such as `ada@localhost` and "
        "`ada@intranet.test`: for development and intranets.",
    )
    smtp_url: str | None = _option(
        optional(SMTP),
        "",
        "The mail server. `smtp` uses STARTTLS, which it requires unless the server is on this "
        "machine; `smtps` uses TLS at once. Without one, mail is kept for `/dev/inbox`, and "
        "registering says if an address is taken.",
        works="smtp://limen:PASSWORD@mail.example.com:587",
        file=True,
    )
    mail_from: str = _option(
        MAILBOX,
        "limen <limen@localhost>",
        "Whom mail comes from.",
        works="Example <no-reply@example.com>",
    )
    mail_templates: Path | None = _option(
        optional(DIRECTORY),
        "",
        "A directory with templates of your own; those that it lacks are limen's.",
        works="/etc/limen/mail",
    )
    mail_limit: Limit = _option(
        limit(100),
        "5 per 1h",
        "Mails that strangers can cause to one mailbox: enough for a lost one, no bombardment.",
    )
    mail_address_limit: Limit = _option(
        limit(1000), "50 per 1h", "Mails that one address can cause, whoever gets them."
    )
    code_limit: Limit = _option(
        limit(100), "5 per 15m", "Wrong codes for one account: six digits have a million values."
    )
    reset_code_lifetime: int = _option(
        duration("5m", "24h"), "1h", "How long a code to set a forgotten password is good."
    )
    verify_code_lifetime: int = _option(
        duration("5m", "30d"), "24h", "How long a code to verify an address is good."
    )
    invitation_lifetime: int = _option(
        duration("1h", "90d"), "7d", "How long an invitation is good."
    )
    audit_retention: int = _option(
        duration("1d", "3650d"), "400d", "How long the audit trail goes back: a year and a month."
    )
    signing_algorithm: Literal["RS256", "ES256", "Ed25519", "HS256"] = _option(
        choice("RS256", "ES256", "Ed25519", "HS256", synonyms={"eddsa": "Ed25519"}),
        "RS256",
        "Every JWT library verifies it, and the key that verifies cannot sign.",
    )
    trusted_proxies: tuple[Network, ...] = _option(
        NETWORKS,
        "",
        "The proxies whose X-Forwarded-For is believed. Without any, the address of the "
        "connection counts, which nobody can invent.",
        works="10.0.0.0/8,2001:db8::5",
    )
    password_hash: Argon2Cost = _option(
        COST,
        "argon2id:m=19456,t=2,p=1",
        "OWASP's choice: 19 MiB for every guess. Older hashes are renewed at the next sign-in.",
    )
    password_min_length: int = _option(
        count(8, 64), "8", "NIST's least; 15 is better where a password is the only factor."
    )
    breached_passwords_url: str | None = _option(
        LIST,
        "",
        "A list of leaked passwords that new ones are looked up in, by five digits of their "
        "SHA-1: `https://api.pwnedpasswords.com/range`, or a copy of your own.",
        works="https://api.pwnedpasswords.com/range",
    )
    breached_passwords_down: Literal["accept", "refuse"] = _option(
        choice("accept", "refuse"),
        "accept",
        "What becomes of a new password while that list does not answer. `refuse` makes "
        "somebody else's outage yours.",
    )
    service_name: str = _option(
        label(r"\S(.{0,62}\S)?", "must be 1 to 64 printable characters"),
        "limen",
        "The title of /docs, and a word that passwords may not be made of.",
    )
    hash_threads: int = _option(
        cores(256), "cores", "Hashing fills a core for its time; more threads only wait in turn."
    )
    hash_queue_time: int = _option(
        duration("1s", "60s"), "5s", "A sign-in that would wait longer is told so at once (503)."
    )
    log_format: Literal["auto", "console", "json"] = _option(
        choice("auto", "console", "json"), "auto", "Console on a terminal, JSON lines elsewhere."
    )
    log_level: Literal["debug", "info", "warning", "error"] = _option(
        choice("debug", "info", "warning", "error"),
        "info",
        "One line for each decision; `debug`: for each refresh, too.",
    )
    docs: bool = _option(SWITCH, "on", "Serve /docs and /openapi.json; they hold no secret.")
    metrics: bool = _option(SWITCH, "on", "Serve /metrics; it holds counts and no names.")

    _from_environment: frozenset[str] = field(
        default=frozenset(), init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        for row in _ROWS.values():
            self._set(row.name, _checked(row, getattr(self, row.name)))
        url = self.database_url.replace("{data_dir}", str(self.data_dir))
        self._set("database_url", url)
        self._check_order("access_token_lifetime", "refresh_token_lifetime", equal=False)
        self._check_order("refresh_token_lifetime", "session_lifetime", equal=True)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Return the settings of the environment.

        Raises:
            ConfigurationError: A value is not good, or a name beginning with LIMEN_ is unknown.
        """
        _refuse_unknown(environ)
        found = {
            row.name: value for row in _ROWS.values() if (value := _read(row, environ)) is not None
        }
        settings = cls(**cast("dict[str, Any]", found))
        settings._set("_from_environment", frozenset(found))
        return settings

    @property
    def mail_goes(self) -> Literal["out", "into the inbox", "nowhere"]:
        """Where mail goes: to the mail server, or without one, on this machine, into an inbox."""
        if self.smtp_url is not None:
            return "out"
        return "into the inbox" if self.public_url.startswith("http://") else "nowhere"

    def describe(self) -> list[Shown]:
        """Return every option as it stands, in the order of the table, to be shown to a person."""
        return [
            Shown(_variable(row), self._shown(row), self._source(row), row.metadata["reason"])
            for row in _ROWS.values()
        ]

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # the class is frozen for everybody else

    def _check_order(self, shorter: str, longer: str, *, equal: bool) -> None:
        short, long = getattr(self, shorter), getattr(self, longer)
        if short > long or (short == long and not equal):
            raise ConfigurationError(
                _PREFIX + longer.upper(),
                f"must be {'at least as long as' if equal else 'longer than'} "
                f"{_PREFIX}{shorter.upper()}",
                _text(_ROWS[longer], 2 * short),
            )

    def _shown(self, row: Field[Any]) -> str:
        if row.name == "secret":
            secrets = self.secret
            return f"hidden ({len(secrets)})" if secrets else "a file in the data directory"
        if row.name == "database_url":
            return without_password(self.database_url)
        if row.name == "smtp_url" and self.smtp_url:
            return without_password(self.smtp_url)
        return _text(row, getattr(self, row.name))

    def _source(self, row: Field[Any]) -> Literal["environment", "program", "default"]:
        if row.name in self._from_environment:
            return "environment"
        default = str(row.default).replace("{data_dir}", str(self.data_dir))
        return "default" if str(getattr(self, row.name)) == default else "program"


def _variable(row: Field[Any]) -> str:
    return _PREFIX + row.name.upper()


def _text(row: Field[Any], value: object) -> str:
    return value if isinstance(value, str) else cast("str", row.metadata["kind"].write(value))


def _checked(row: Field[Any], value: object, variable: str = "") -> object:
    """Return the value as its kind makes it, whether it is given as itself or as text."""
    if value is None and row.default is None:
        return None
    try:
        return cast("object", row.metadata["kind"].parse(_text(row, value)))
    except TypeError:
        problem = "has a value of the wrong type"
    except ValueError as error:
        problem = str(error)
    raise ConfigurationError(variable or _variable(row), problem, row.metadata["works"])


def _read(row: Field[Any], environ: Mapping[str, str]) -> object:
    """Return the environment's value, or None where it has none."""
    variable = _variable(row)
    text, file = environ.get(variable), environ.get(f"{variable}_FILE")
    if file is None or not row.metadata["file"]:
        return None if text is None else _checked(row, text)
    if text is not None:
        raise ConfigurationError(
            variable, f"is set, and {variable}_FILE as well", "one of the two alone"
        )
    return _checked(row, _content(Path(file), f"{variable}_FILE"), f"{variable}_FILE")


def _content(path: Path, variable: str) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_FILE_BYTES).decode().rstrip("\r\n")
    except OSError as error:
        problem = f"names a file that cannot be read ({error.strerror})"
    except ValueError:
        problem = "names a file that is not UTF-8 text"
    raise ConfigurationError(variable, problem, "/run/secrets/limen")


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    known = [*map(str.upper, _ROWS), *sorted(_FILES)]
    for name, value in environ.items():
        if not name.upper().startswith(_PREFIX) or name.startswith(_FOR_TESTS):
            continue
        if name.removeprefix(_PREFIX) in known or _KUBERNETES.match(f"{name}={value}"):
            continue
        close = get_close_matches(name.upper().removeprefix(_PREFIX), known, n=1)
        raise _unknown(name, close[0] if close else None)


def _unknown(name: str, close: str | None) -> ConfigurationError:
    if close is None:
        return ConfigurationError(name, "is no option of limen", "one of 'limen config show'")
    row = _ROWS.get(close.lower())
    works = row.metadata["works"] if row else "/run/secrets/limen"
    problem = f"is no option of limen, perhaps {_PREFIX}{close} is meant"
    return ConfigurationError(name, problem, f"{_PREFIX}{close}={works}")


_ROWS = {row.name: row for row in fields(Settings) if row.metadata}
_FILES = {f"{row.name.upper()}_FILE" for row in _ROWS.values() if row.metadata["file"]}
