"""An issuer elsewhere: its keys and what it has revoked, followed over HTTP.

One thread of the standard library does it, so that it serves an asyncio application, a WSGI one
and a script alike, and goes on while the application is busy. It starts with the first token, and
anew in a process that was forked.

    keys          from /.well-known/jwks.json, again before the answer's max-age is over
    revocations   from the feed, by long polls; an entry `keys` has the keys fetched at once

An issuer that is away takes nothing down at once: its keys are used for a day, and its revocations
for as long as `Revocations` allows, ten seconds, after which the answer is 503. `follow=False` does
without the feed: tokens are then good until they expire, whoever has signed out.

A kid that is not known may be that of a new key, or an invention. The keys are fetched for it at
most once in `COOL_DOWN_SECONDS`, whoever asks; while that is under way all wait for the one answer.
"""

import asyncio
import logging
import os
import random
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from limen.verify.feed import FeedReader
from limen.verify.fetching import Unreachable, fetch, require_safe
from limen.verify.keyset import KeySet, VerificationKey
from limen.verify.revocations import Revocations
from limen.verify.strict_json import loads

MAX_AGE_SECONDS = range(30, 3600 + 1)  # whatever Cache-Control says
USUAL_AGE_SECONDS = 300
STALE_SECONDS = 86400.0
COOL_DOWN_SECONDS = 5.0
PATIENCE_SECONDS = 3.0  # of a request that waits for keys
FETCH_SECONDS = 5.0
MAX_BYTES = 256 * 1024
MAX_KEYS = 100

# Another worker of the issuer may answer, which heard of the new key a moment later.
SECOND_LOOK_SECONDS = 1.5
RETRY_SECONDS = (0.25, 2.0)  # the first pause and the longest

_MAX_AGE = re.compile(r"(?:^|[,\s])max-age=(\d{1,9})(?:[,\s]|$)")
_logger = logging.getLogger(__name__)


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
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url
        self._address = require_safe(at or url).rstrip("/")
        self._file = jwks
        self._monotonic = monotonic
        self.revocations = Revocations(monotonic=monotonic)
        self._feed = FeedReader(self._address, self.revocations, monotonic) if follow else None
        self._keys = KeySet([])
        self._loaded_at: float | None = None
        self._due = self._second_look = 0.0
        self._asked_at = -COOL_DOWN_SECONDS
        self._succeeded = False
        self._forget_thread()

    def find(self, kid: str) -> VerificationKey | None:
        """Return the key of that kid, if it is known and was confirmed within a day."""
        self._ensure_running()
        if self._loaded_at is None or self._monotonic() - self._loaded_at > STALE_SECONDS:
            return None
        return self._keys.find(kid)

    async def renew(self) -> bool:
        """Have the keys fetched, unless they were asked for just now; return whether they were."""
        until = self._monotonic() + PATIENCE_SECONDS
        if self._may_ask():
            await asyncio.to_thread(self._ask)
        while not self._is_settled() and self._monotonic() < until:  # noqa: ASYNC110  a thread does it
            await asyncio.sleep(0.02)
        return self._succeeded

    def renew_blocking(self) -> bool:
        """Do the same in a thread that may wait."""
        until = self._monotonic() + PATIENCE_SECONDS
        if self._may_ask():
            self._ask()
        while not self._is_settled() and self._monotonic() < until:
            time.sleep(0.02)
        return self._succeeded

    def close(self) -> None:
        """Stop following. A later token would start it again."""
        self._stopped.set()
        if self._thread is not None and self._process == os.getpid():
            self._thread.join(FETCH_SECONDS)
        self._forget_thread()

    def _forget_thread(self) -> None:
        self._thread: threading.Thread | None = None
        self._process = os.getpid()
        self._starting, self._fetching = threading.Lock(), threading.Lock()
        self._stopped = threading.Event()

    def _ensure_running(self) -> None:
        if self._thread is not None and self._process == os.getpid():
            return
        if self._process != os.getpid():
            self._forget_thread()  # a fork has copied the locks in whatever state they were
        with self._starting:
            if self._thread is None:
                name = "limen issuer"
                self._thread = threading.Thread(
                    target=self._run, args=(self._stopped,), name=name, daemon=True
                )
                self._thread.start()

    def _run(self, stopped: threading.Event) -> None:
        first, longest = RETRY_SECONDS
        pause = first
        while not stopped.is_set():
            try:
                self._step(stopped)
                pause = first
            except Unreachable as error:
                _logger.warning("issuer not reached", extra={"why": str(error)})
                stopped.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311  no secret
                pause = min(2 * pause, longest)
            except Exception:
                _logger.exception("following the issuer failed")
                stopped.wait(longest)

    def _step(self, stopped: threading.Event) -> None:
        now = self._monotonic()
        if now >= min(self._due, self._second_look or self._due):
            self._second_look = 0.0
            with self._fetching:
                self._load()
        if self._feed is None:
            self.revocations.synced()
            stopped.wait(1.0)
        elif any(entry.kind == "keys" for entry in self._feed.read()):
            self._due = 0.0
            self._second_look = self._monotonic() + SECOND_LOOK_SECONDS

    def _may_ask(self) -> bool:
        self._ensure_running()
        asked_lately = self._monotonic() - self._asked_at < COOL_DOWN_SECONDS
        return not asked_lately and self._fetching.acquire(blocking=False)

    def _ask(self) -> None:
        """Fetch the keys; whoever calls has the lock."""
        try:
            self._asked_at = self._monotonic()
            self._load()
        except Unreachable as error:
            _logger.warning("issuer not reached", extra={"why": str(error)})
        finally:
            self._fetching.release()

    def _is_settled(self) -> bool:
        """Whether nobody fetches, and what was revoked is known for a first time."""
        return not self._fetching.locked() and self.revocations.is_fresh

    def _load(self) -> None:
        self._succeeded = False
        self._keys, age = self._read_keys()
        self._loaded_at = self._monotonic()
        self._due = self._loaded_at + 0.8 * age
        self._succeeded = True

    def _read_keys(self) -> tuple[KeySet, int]:
        try:
            if self._file is not None:
                return _key_set(self._file.read_bytes()), USUAL_AGE_SECONDS
            url = f"{self._address}/.well-known/jwks.json"
            fresh = {"Cache-Control": "no-cache"}
            answer = fetch(url, seconds=FETCH_SECONDS, max_bytes=MAX_BYTES, headers=fresh)
            return _key_set(answer.body), _max_age(answer.headers.get("cache-control", ""))
        except (OSError, ValueError) as error:
            raise Unreachable(f"its key set cannot be used: {error}") from error


def _key_set(document: bytes) -> KeySet:
    parsed = loads(document)
    if not isinstance(parsed, dict):
        raise ValueError("A key set is a JSON object.")  # noqa: TRY004  what is read is no argument
    if len(keys := KeySet.from_jwks(parsed)) > MAX_KEYS:
        raise ValueError(f"A key set has {MAX_KEYS} keys at most.")
    return keys


def _max_age(cache_control: str) -> int:
    found = _MAX_AGE.search(cache_control)
    age = int(found[1]) if found else USUAL_AGE_SECONDS
    return max(MAX_AGE_SECONDS[0], min(age, MAX_AGE_SECONDS[-1]))
