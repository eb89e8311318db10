"""The kinds of value that an option can have, and how each is written.

A kind is a pair: `parse` makes the value of a text, or raises ValueError with what is wrong, which
never repeats the text; `write` makes the text of a value, such that parsing it gives the value
again. Everything that decides which values are good is in `parse`.

    duration    30m, 7d, 1h30m          seconds
    count       8                       a whole number
    limit       5 per 15m               Limit
    choice      json                    one of some words
    switch      on, off                 a boolean
    directory   /etc/limen/mail         a path
    and for one option each: a database, an issuer, networks, a cost, a list, secrets, a mail
    server, a mailbox
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parseaddr
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from limen.loopback import is_loopback
from limen.secret import parse_secrets

T = TypeVar("T")
Network = IPv4Network | IPv6Network

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile("".join(rf"(?:([0-9]{{1,9}}){unit})?" for unit in _UNITS))
_LIMIT = re.compile(r"([0-9]{1,9}) per ([0-9dhms]+)")
_ARGON2 = re.compile(r"argon2id:m=([0-9]{1,9}),t=([0-9]{1,9}),p=([0-9]{1,9})")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_URL = re.compile(r"[!-~]+")
_MAILBOX = re.compile(r"[!-~]+@[A-Za-z0-9.-]+")

# The equivalent choices of OWASP's password storage cheat sheet, memory in KiB and passes: a cost
# must reach one of them in both.
ARGON2_FLOORS = ((47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5))

# The widest private networks: 10.0.0.0/8 and fc00::/7. Trusting more is trusting strangers.
WIDEST = {4: 8, 6: 7}


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    parse: Callable[[str], T]
    write: Callable[[T], str] = str


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `quota` attempts in any `window` seconds."""

    quota: int
    window: int

    def __str__(self) -> str:
        return f"{self.quota} per {_write_duration(self.window)}"


@dataclass(frozen=True, slots=True)
class Argon2Cost:
    """What one Argon2id hash costs: memory in KiB, passes over it, lanes side by side."""

    memory_kib: int
    passes: int
    lanes: int

    def __str__(self) -> str:
        return f"argon2id:m={self.memory_kib},t={self.passes},p={self.lanes}"


# The most expensive hash that is checked takes a few seconds of one core.
ARGON2_CEILING = Argon2Cost(memory_kib=256 * 1024, passes=16, lanes=16)


def duration(least: str, most: str) -> Kind[int]:
    """Return a kind of whole seconds between two durations, both allowed."""
    bounds = _seconds(least), _seconds(most)

    def parse(text: str) -> int:
        seconds = _seconds(text)
        if not bounds[0] <= seconds <= bounds[1]:
            raise ValueError(f"must be between {least} and {most}")
        return seconds

    return Kind(parse, _write_duration)


def count(least: int, most: int) -> Kind[int]:
    return Kind(lambda text: _whole(text, least, most))


def cores(most: int) -> Kind[int]:
    """Return a kind of whole numbers in which "cores" is the number of this process's cores."""
    return Kind(lambda text: min(_cores(), most) if text == "cores" else _whole(text, 1, most))


def limit(most: int) -> Kind[Limit]:
    def parse(text: str) -> Limit:
        if not (found := _LIMIT.fullmatch(text)):
            raise ValueError("must be written as a number of attempts 'per' a duration")
        quota, window = _whole(found[1], 1, most), _seconds(found[2])
        if not 1 <= window <= _seconds("7d"):
            raise ValueError("must have a duration between 1s and 7d")
        return Limit(quota, window)

    return Kind(parse)


def choice(*words: T, synonyms: dict[str, T] | None = None) -> Kind[T]:
    known = {str(word).lower(): word for word in words} | (synonyms or {})

    def parse(text: str) -> T:
        if text.lower() not in known:
            raise ValueError(f"must be one of {', '.join(map(str, words))}")
        return known[text.lower()]

    return Kind(parse)


def optional(kind: Kind[T]) -> Kind[T | None]:
    """Return a kind of the same values, and of none at all, which is written as nothing."""

    def write(value: T | None) -> str:
        return "" if value is None else kind.write(value)

    return Kind(lambda text: kind.parse(text) if text else None, write)


def label(pattern: str, rule: str) -> Kind[str]:
    """Return a kind of short texts that match the pattern; the rule says so in words."""

    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text) or not text.isprintable():
            raise ValueError(rule)
        return text

    return Kind(parse, _is_text)


def _parse_switch(text: str) -> bool:
    if text not in {"on", "off"}:
        raise ValueError("must be on or off")
    return text == "on"


def _write_switch(value: object) -> str:
    return {"True": "on", "False": "off"}.get(str(value), "")


def _parse_directory(text: str) -> Path:
    if not text.strip() or not text.isprintable() or text.startswith("~") or "?" in text:
        raise ValueError("must be the path of a directory, without ~, ? or control characters")
    return Path(text)


def _write_directory(path: Path) -> str:
    return os.fspath(path)


def _parse_database(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if scheme in {"postgres", "postgresql", "postgresql+psycopg"} and separator:
        return _postgresql_url(rest)
    if scheme not in {"sqlite", "sqlite+aiosqlite"} or not rest.startswith("/"):
        raise ValueError("must be sqlite:/// and the path of a file, or postgresql://")
    return _sqlite_url(rest[1:])


def _sqlite_url(path: str) -> str:
    if not path or path.startswith((":memory:", "file:")) or path.endswith("/"):
        raise ValueError("must name a file: accounts kept in memory would be lost")
    if "?" in path or not path.isprintable():
        raise ValueError("takes no options after '?', because limen sets SQLite up itself")
    return f"sqlite:///{path}"


def _postgresql_url(rest: str) -> str:
    """Return the URL as libpq reads it; what it means is libpq's to say."""
    if not _URL.fullmatch(rest):
        raise ValueError("must have no spaces; percent-encode them and other odd characters")
    if not rest.partition("?")[0].partition("/")[2]:
        raise ValueError("must name the database after the host: postgresql://user@host/limen")
    return f"postgresql://{rest}"


def _parse_issuer(text: str) -> str:
    """Return the URL as issuers are compared: character by character (RFC 8414, section 2)."""
    rule = "must be an http(s) URL of a host, perhaps a port and a path, and nothing else"
    if not _URL.fullmatch(text) or set(text) & set('?#@\\%"<>'):
        raise ValueError(rule)
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port
        address = ip_address(host) if "[" in text else None
    except ValueError:
        raise ValueError(rule) from None
    if url.scheme not in {"http", "https"} or not (address or _HOST.fullmatch(host)) or port == 0:
        raise ValueError(rule)
    if url.scheme == "http" and not is_loopback(host):
        raise ValueError("must begin with https:// unless it is this machine's own localhost")
    shown = f"[{address}]" if address else host
    return f"{url.scheme}://{shown}{f':{port}' if port else ''}{url.path.rstrip('/')}"


def _parse_list(text: str) -> str | None:
    return _parse_issuer(text) if text else None


def _or_nothing(url: object) -> str:
    return "" if url is None else _is_text(url)


def _parse_networks(text: str) -> tuple[Network, ...]:
    return tuple(_network(part.strip()) for part in text.split(",")) if text.strip() else ()


def _network(text: str) -> Network:
    try:
        found = ip_network(text) if text.isascii() and "%" not in text else None
    except ValueError:
        found = None
    if found is None:
        raise ValueError(
            "must be addresses or networks like 10.0.0.0/8, with commas, no bits behind the prefix"
        )
    if found.prefixlen < WIDEST[found.version]:
        raise ValueError(
            f"must not trust more than a /{WIDEST[found.version]} of IPv{found.version}: "
            "whoever is trusted can call from any address"
        )
    if isinstance(found, IPv6Network) and found.network_address.ipv4_mapped:
        raise ValueError("must have IPv4 networks in their own form, not as ::ffff:")
    return found


def _parse_cost(text: str) -> Argon2Cost:
    if not (found := _ARGON2.fullmatch(text)):
        raise ValueError("must be argon2id:m=KIBIBYTES,t=PASSES,p=LANES")
    memory, passes, lanes = (int(number) for number in found.groups())
    if not any(memory >= least and passes >= fewest for least, fewest in ARGON2_FLOORS):
        floors = " or ".join(f"m={least},t={fewest}" for least, fewest in ARGON2_FLOORS)
        raise ValueError(f"makes guessing too cheap: at least {floors} is needed")
    most = ARGON2_CEILING
    if memory > most.memory_kib or passes > most.passes or lanes > most.lanes:
        raise ValueError(f"costs too much: at most {most}")
    if lanes < 1:
        raise ValueError("needs one lane or more")
    return Argon2Cost(memory, passes, lanes)


def _seconds(text: str) -> int:
    if text.isascii() and text.isdigit():
        raise ValueError("needs a unit, one of d, h, m and s")
    if not text or not (found := _DURATION.fullmatch(text)):
        raise ValueError("must be a duration in d, h, m and s")
    parts = zip(found.groups(default="0"), _UNITS.values(), strict=True)
    return sum(int(number) * unit for number, unit in parts)


def _write_duration(seconds: int) -> str:
    if type(seconds) is not int or seconds < 0:
        return str(seconds)  # which no duration looks like, so that parsing refuses it
    written = ""
    rest = seconds
    for unit, size in _UNITS.items():
        number, rest = divmod(rest, size)
        written += f"{number}{unit}" if number else ""
    return written or "0s"


def _whole(text: str, least: int, most: int) -> int:
    if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise ValueError(f"must be a whole number between {least} and {most}")
    return int(text)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # what a container may use, where the system tells it
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _is_text(value: object) -> str:
    """Return a value whose text is itself."""
    if not isinstance(value, str):
        raise TypeError
    return value


def _parse_smtp(text: str) -> str:
    """Return the URL of a mail server; its parts are read by `limen.smtp`."""
    rule = "must be smtp://USER:PASSWORD@HOST:PORT or smtps://..., without path, query and fragment"
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port
        address = ip_address(host) if "[" in text else None
    except ValueError:
        raise ValueError(rule) from None
    if not _URL.fullmatch(text) or url.scheme not in {"smtp", "smtps"} or port == 0:
        raise ValueError(rule)
    if url.path.rstrip("/") or url.query or url.fragment:
        raise ValueError(rule)
    if not (address or _HOST.fullmatch(host)) or (url.username is None) != (url.password is None):
        raise ValueError(rule)
    return text.rstrip("/")


def _parse_mailbox(text: str) -> str:
    """Return "Name <name@example.com>" or an address alone, as it stands in From."""
    name, address = parseaddr(text)
    if (
        not text.isprintable()
        or not _MAILBOX.fullmatch(address)
        or formatted(name, address) != text
    ):
        raise ValueError("must be an address, or a name and an address in <angle brackets>")
    return text


def formatted(name: str, address: str) -> str:
    """Return the one form that a mailbox is written in."""
    return f"{name} <{address}>" if name else address


def _joined(values: tuple[object, ...]) -> str:
    return ",".join(str(value) for value in values)


def _parse_secrets(text: str) -> tuple[str, ...] | None:
    return parse_secrets(text)


SWITCH = Kind(_parse_switch, _write_switch)
DIRECTORY = Kind(_parse_directory, _write_directory)
DATABASE = Kind(_parse_database, _is_text)
ISSUER = Kind(_parse_issuer, _is_text)
LIST = Kind(_parse_list, _or_nothing)
NETWORKS = Kind(_parse_networks, _joined)
COST = Kind(_parse_cost)
SECRETS = Kind(_parse_secrets, lambda values: ",".join(values or ()))
SMTP = Kind(_parse_smtp, _is_text)
MAILBOX = Kind(_parse_mailbox, _is_text)
