"""The root secret: the one thing that a stolen database lacks.

Every key that limen needs is derived from it for one purpose (HKDF-SHA256, RFC 5869), so that no
key says anything about another. It comes from one of two places:

    LIMEN_SECRET                one secret or several, newest first, with commas between them
    the file `secret`           in the data directory: made at first start, mode 0600, holding
                                exactly what LIMEN_SECRET would hold

Several secrets make a rotation: the newest seals, and every one of them opens. The file is
written beside its place and then linked into it. A link is made whole or not at all, and never
over another file, so two processes that start at once end with the same secret.

A secret is random, or it is none. Refused are those that are short, that repeat or count, that are
made of the words people put in a secret's place, and those that everybody knows because they stood
in a tutorial (`data/well_known_secrets.txt`).
"""

import os
import secrets
import stat
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from limen.errors import ConfigurationError

# As many as the keys that are derived from it have (RFC 7518, section 3.2, for HS256).
MIN_BYTES = 32
# A random secret of 32 hexadecimal digits has fewer than 8 different ones once in 27 million.
MIN_DIFFERENT = 8
# What stands where a secret was to be put. Six letters by chance in 43 random ones of base64: once
# in 25 million, whichever the case.
PLACEHOLDER_WORDS = ("secret", "change", "replace", "example", "password", "insecure", "character")
# "abcdef...", "11223344..." are nearly all small steps; random digits, the worst case, a quarter.
MAX_SMALL_STEPS = 0.6

HOW_TO_MAKE_ONE = "the output of 'openssl rand -base64 32'"
FILE_NAME = "secret"
_MAX_FILE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class RootSecret:
    """The secrets, newest first, and the file they lie in (None: the setting)."""

    _secrets: tuple[bytes, ...] = field(repr=False)
    path: Path | None = None

    @classmethod
    def load(cls, from_settings: tuple[str, ...] | None, data_dir: Path) -> Self:
        """Return the setting's secrets; without any, the data directory's, made if missing.

        Raises:
            ConfigurationError: A secret is weak, or the file cannot be used or made.
        """
        if from_settings is not None:
            return cls(_encoded(",".join(from_settings), "LIMEN_SECRET", HOW_TO_MAKE_ONE))
        path = data_dir / FILE_NAME
        try:
            if not os.path.lexists(path):
                _make(path)
            text = _read(path)
        except OSError as error:
            problem = f"its file '{FILE_NAME}' cannot be read or made ({error.strerror})"
            raise ConfigurationError(
                "LIMEN_DATA_DIR", problem, "a directory of limen's own, on a local disk"
            ) from None
        return cls(_encoded(text, "LIMEN_DATA_DIR", f"a copy of {path} from a backup"), path)

    def derive(self, purpose: str, length: int = 32) -> bytes:
        """Return the key of `length` bytes for one purpose, from the newest secret."""
        return _derived(self._secrets[0], purpose, length)

    def derive_all(self, purpose: str, length: int = 32) -> tuple[bytes, ...]:
        """Return the purpose's keys, newest first, to open what an older secret sealed."""
        return tuple(_derived(secret, purpose, length) for secret in self._secrets)


def parse_secrets(text: str) -> tuple[str, ...]:
    """Return the secrets in a comma-separated text.

    Raises:
        ValueError: One of them is weak. The message says why, and never repeats it.
    """
    found = tuple(part.strip() for part in text.split(","))
    for secret in found:
        if problem := _weakness(secret):
            raise ValueError(problem)
    return found


def _weakness(secret: str) -> str | None:
    encoded = secret.encode(errors="replace")
    problems = {
        "the secret holds a control character, or is not UTF-8": not secret.isprintable(),
        f"the secret has {len(encoded)} bytes, and at least {MIN_BYTES} are needed": (
            len(encoded) < MIN_BYTES
        ),
        "the secret has too few different characters to be random": (
            len(set(secret)) < MIN_DIFFERENT
        ),
        "the secret repeats itself": _repeats(secret),
        "the secret is a sequence, not random": _counts(secret),
        "the secret is made of words, not random": any(
            word in secret.lower() for word in PLACEHOLDER_WORDS
        ),
        "the secret is publicly known: attackers try it first": secret in _well_known(),
    }
    return next((problem for problem, is_so in problems.items() if is_so), None)


def _repeats(secret: str) -> bool:
    """Say whether the secret is one short piece, over and over."""
    longest = min(len(secret) // 2, MIN_BYTES - 1)
    return any(secret[period:] == secret[:-period] for period in range(1, longest + 1))


def _counts(secret: str) -> bool:
    """Say whether most characters are neighbours of those before them."""
    steps = [abs(ord(one) - ord(other)) <= 1 for one, other in pairwise(secret)]
    return sum(steps) > MAX_SMALL_STEPS * len(steps)


@cache
def _well_known() -> frozenset[str]:
    listed = files("limen").joinpath("data", "well_known_secrets.txt").read_text("ascii")
    return frozenset(line for line in listed.splitlines() if not line.startswith("#"))


def _encoded(text: str, variable: str, works: str) -> tuple[bytes, ...]:
    try:
        return tuple(secret.encode() for secret in parse_secrets(text))
    except ValueError as error:
        raise ConfigurationError(variable, str(error), works) from None


def _make(path: Path) -> None:
    _make_directory(path.parent)
    beside = path.with_name(f".{FILE_NAME}-{secrets.token_hex(8)}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(MIN_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(beside, path)
    except FileExistsError:
        pass  # another process was first: its secret is the one
    finally:
        beside.unlink(missing_ok=True)
    _sync(path.parent)


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            "LIMEN_DATA_DIR",
            f"{path.absolute()} cannot be made a directory ({error.strerror})",
            "a directory of limen's own, on a local disk",
        ) from None


def _sync(directory: Path) -> None:
    """Keep the directory's new entry, whatever happens to the power."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> str:
    if path.is_symlink():
        raise ConfigurationError(
            "LIMEN_DATA_DIR", f"its file '{FILE_NAME}' is a symbolic link", "the file itself there"
        )
    # A link may have come since, and a pipe would make us wait: hence the two flags.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        _refuse_mode(os.fstat(descriptor).st_mode, path)
        return os.read(descriptor, _MAX_FILE_BYTES).decode(errors="surrogateescape").rstrip("\r\n")
    finally:
        os.close(descriptor)


def _refuse_mode(mode: int, path: Path) -> None:
    if not stat.S_ISREG(mode):
        raise ConfigurationError("LIMEN_DATA_DIR", f"its '{FILE_NAME}' is no file", "a file there")
    if mode & 0o077:
        raise ConfigurationError(
            "LIMEN_DATA_DIR",
            f"its file '{FILE_NAME}' can be used by other users of this machine",
            f"the outcome of: chmod 600 {path}",
        )


def _derived(secret: bytes, purpose: str, length: int) -> bytes:
    hkdf = HKDF(SHA256(), length, salt=b"limen", info=b"v1:" + purpose.encode())
    return hkdf.derive(secret)
