"""A session in a file that only its owner can read, shared by all his processes.

The file is written beside its place, made durable, and then put in place: a reader sees the one
or the other, and a crash leaves one of them. The lock is that of a second file, `<name>.lock`,
because the first one is replaced again and again. The system gives it back when a process dies: a
child that was forked meanwhile does not hold it, too. What a process has left beside the file that
was killed while it wrote holds tokens, and is deleted by the next one that saves under the lock.

A file that others could read or have written, or that is not what was written here, is an error.
It is never repaired and never taken for an empty one: a session may lie in it.
"""

import json
import os
import re
import secrets
import stat
import weakref
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from limen.client.errors import StoreUnusable
from limen.client.stores import Kept, Release, Tokens

try:
    import fcntl
except ImportError:
    raise ImportError(
        "FileStore needs the file locks of POSIX, which this system lacks: use MemoryStore, or a"
        " store of your own."
    ) from None

VERSION = 1
MAX_BYTES = 64 * 1024

# How the members of the file are checked when it is read.
_KINDS: dict[str, tuple[type, ...]] = {
    "access_token": (str,),
    "refresh_token": (str,),
    "received_at": (int, float),
    "expires_in": (int, float),
    "account": (str,),
    "retry_key": (str, type(None)),
}


class FileStore:
    """Keeps a session in a file on a local disk, of mode 0600. `~` is the home directory."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser().absolute()
        self._lock_path = self.path.with_name(self.path.name + ".lock")
        self._lock: _Lock | None = None

    def __repr__(self) -> str:
        return f"FileStore({str(self.path)!r})"

    def load(self) -> Kept:
        try:
            # A pipe would make us wait, and a link may lead to a file of somebody else.
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return Kept()
        except OSError as error:
            raise self._unusable(error) from None
        try:
            self._refuse_others(os.fstat(descriptor))
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                return self._parsed(file.read(MAX_BYTES))
        except OSError as error:
            raise self._unusable(error) from None
        finally:
            os.close(descriptor)

    def save(self, kept: Kept) -> None:
        document = {"version": VERSION, **asdict(kept)}
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._lock and self._lock.is_held:
                self._clean_up()
            self._replace(json.dumps(document).encode())
        except OSError as error:
            raise self._unusable(error) from None

    def try_lock(self) -> Release | None:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise self._unusable(error) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError as error:
            os.close(descriptor)
            raise self._unusable(error) from None
        self._lock = _Lock(descriptor)
        return self._lock.release

    def _refuse_others(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise StoreUnusable(str(self.path), "is no file", "Name another path.")
        if status.st_uid != os.geteuid():
            cure = "Use a file of your own, and sign in again."
            raise StoreUnusable(str(self.path), "belongs to another user", cure)
        if status.st_mode & 0o077:
            raise StoreUnusable(
                str(self.path),
                "can be used by other users of this machine",
                f"If they are trusted: chmod 600 {self.path}. If not, sign out, and in again.",
            )

    def _parsed(self, content: bytes) -> Kept:
        try:
            return _kept(json.loads(content))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise StoreUnusable(
                str(self.path),
                "is damaged: it is not what limen.client wrote",
                "Move it away, and sign in again.",
            ) from None

    def _clean_up(self) -> None:
        left = re.compile(rf"\.{re.escape(self.path.name)}-[0-9a-f]{{16}}")
        for path in self.path.parent.iterdir():
            if left.fullmatch(path.name):
                path.unlink(missing_ok=True)

    def _replace(self, content: bytes) -> None:
        beside = self.path.with_name(f".{self.path.name}-{secrets.token_hex(8)}")
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            beside.replace(self.path)
        finally:
            with suppress(FileNotFoundError):
                beside.unlink()
        directory = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _unusable(self, error: OSError) -> StoreUnusable:
        problem = f"cannot be read, written or locked ({error.strerror})"
        return StoreUnusable(str(self.path), problem, "Name a file of your own on a local disk.")


def _kept(document: dict[str, Any]) -> Kept:
    """Return what the document says.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: It is not one of ours.
    """
    members, device, issuer = document["tokens"], document["device"], document["issuer"]
    if document["version"] != VERSION or not isinstance(device, str | None):
        raise ValueError
    if not isinstance(issuer, str | None):
        raise ValueError  # noqa: TRY004  it is a wrong document, not a wrong call
    if members is None:
        return Kept(None, device, issuer)
    if any(not isinstance(members[name], kinds) for name, kinds in _KINDS.items()):
        raise ValueError
    if issuer is None:
        raise ValueError
    return Kept(Tokens(**members), device, issuer)


class _Lock:
    """A lock that is held as long as its file is open, in the process that took it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor
        _locks.add(self)

    @property
    def is_held(self) -> bool:
        return self._descriptor is not None

    def release(self) -> None:
        """Give it back. A forked child has nothing to give: what it does ends no lock of ours."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            self.let_go()

    def let_go(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


_locks: weakref.WeakSet[_Lock] = weakref.WeakSet()


def _let_go_in_a_child() -> None:
    for lock in list(_locks):
        lock.let_go()


os.register_at_fork(after_in_child=_let_go_in_a_child)
