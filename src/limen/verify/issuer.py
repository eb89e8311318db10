"""An issuer elsewhere: its keys and what it has revoked, followed over HTTP.

Two threads of the standard library do it, so that it serves an asyncio application, a WSGI one and
a script alike, and goes on while the application is busy. They start with the first token, and
anew in a process that was forked. They end when the issuer is closed, or nobody has it any more.

    keys          from /.well-known/jwks.json (limen.verify.remote_keys)
    revocations   from the feed, by long polls (limen.verify.feed)

What was revoked is read first, and the keys after it: whatever happens to them from then on is
announced. An announcement counts as read when the keys were read as well, so a key that was given
up is not believed for longer than a session that has ended.

An issuer that is away takes nothing down at once: its keys are used for a day, and its revocations
for as long as `Revocations` allows, ten seconds, after which the answer is 503. `follow=False` does
without the feed: tokens are then good until they expire, whoever has signed out.
"""

import math
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from weakref import WeakSet, finalize

from limen.verify.elapsed import elapsed
from limen.verify.feed import FeedReader, Page
from limen.verify.fetching import Unreachable, require_safe
from limen.verify.key_source import KeySource
from limen.verify.keyset import VerificationKey
from limen.verify.reachability import Reachability
from limen.verify.remote_keys import RemoteKeys
from limen.verify.revocations import BOUND_SECONDS, Revocations

# From one question to the next, if all was told. An answer may come at once, each time: when much
# is revoked, or when the issuer has no room for those who wait.
PACE_SECONDS = 0.5


class Issuer:
    """The keys and revocations of the issuer at `url`.

    `jwks` is a file with the key set, for where it cannot be fetched. `at` is where the issuer is
    reached, if that is another address than the one in its tokens.

    Raises:
        ValueError: The address is not https, and not on this machine.
    """

    def __init__(
        self,
        url: str,
        *,
        follow: bool = True,
        jwks: Path | None = None,
        at: str | None = None,
        monotonic: Callable[[], float] = elapsed,
    ) -> None:
        self.url = url
        self._address = require_safe(at or url).rstrip("/")
        self._file = jwks
        self._follow = follow
        self._monotonic = monotonic
        bound = BOUND_SECONDS if follow else math.inf
        self.revocations = Revocations(bound=bound, monotonic=monotonic)
        self._lock = threading.Lock()
        self._following: _Following | None = None
        self._end: finalize[[], Issuer] | None = None
        _issuers.add(self)

    def find(self, kid: str) -> VerificationKey | None:
        """Return the key of that kid, if it is known and was confirmed within a day."""
        return (self._following or self._begin()).keys.find(kid)

    async def renew(self, kid: str, issued_at: int, /) -> bool:
        """Have the kid looked for, within bounds; return whether it can be judged now."""
        return await (self._following or self._begin()).keys.renew(kid, issued_at)

    def renew_blocking(self, kid: str, issued_at: int, /) -> bool:
        """Do the same in a thread that may wait."""
        return (self._following or self._begin()).keys.renew_blocking(kid, issued_at)

    def close(self) -> None:
        """Stop following. A later token would start it again."""
        with self._lock:
            if self._end is not None:
                self._end()
            self._following = self._end = None

    def _begin(self) -> "_Following":
        with self._lock:
            if self._following is None:
                keys = RemoteKeys(KeySource(self._address, self._file), self.url, self._monotonic)
                reader = FeedReader(self._address, self._monotonic) if self._follow else None
                self._following = _Following(self, keys, reader, self._lock)
                self._end = finalize(self, self._following.close)
                self._end.atexit = False
            return self._following

    def _forked(self) -> None:
        """Begin anew: here are no threads, and a lock that one of them held is never released."""
        self._lock = threading.Lock()
        if self._end is not None:
            self._end.detach()
        self._following = self._end = None


class _Following:
    """The threads that follow an issuer, until they are closed: it may be followed anew then.

    They do not hold the Issuer itself, so that it can be collected, and they end.
    """

    def __init__(
        self, issuer: Issuer, keys: RemoteKeys, reader: FeedReader | None, lock: threading.Lock
    ) -> None:
        self.keys = keys
        self._revocations = issuer.revocations
        self._reachability = Reachability("revocations", issuer.url)
        self._lock = lock
        self._is_closed = False
        if reader is None:
            keys.start()
        else:
            name, arguments = "limen revocations", (reader, issuer._monotonic)  # noqa: SLF001
            threading.Thread(target=self._run, args=arguments, name=name, daemon=True).start()

    def close(self) -> None:
        """End soon; from now on nothing is taken over.

        Whoever calls has the lock, or is the garbage collector, in any thread and at any point of
        it: so nothing is locked here that cannot be locked twice.
        """
        self._is_closed = True
        self.keys.close()

    def _run(self, reader: FeedReader, monotonic: Callable[[], float]) -> None:
        while not self._is_closed:
            began = time.monotonic()
            try:
                page = reader.read()
                self._take(page, monotonic)
            except Exception as error:  # noqa: BLE001  a mistake of ours must not end it for good
                pause = self._reachability.failed(error)
            else:
                self._reachability.succeeded()
                pause = began + PACE_SECONDS - time.monotonic() if page.complete else 0.0
            self.keys.start()
            time.sleep(max(0.0, pause))

    def _take(self, page: Page, monotonic: Callable[[], float]) -> None:
        with self._lock:
            if self._is_closed:
                return
            self._revocations.apply(page.entries)
            self._revocations.expire(int(time.time()))
        if page.announces_keys:
            self.keys.announce()
        if not self.keys.catch_up():
            raise Unreachable("its new keys cannot be read")
        if page.complete:
            self._revocations.synced(ago=monotonic() - page.known_at)


_issuers: WeakSet[Issuer] = WeakSet()


def _after_fork() -> None:
    for issuer in _issuers:
        issuer._forked()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
