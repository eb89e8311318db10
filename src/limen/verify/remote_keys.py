"""The keys of an issuer elsewhere, kept current by a thread.

The thread reads the key set before it gets too old, when the issuer has announced that it changed,
and for a kid that nobody knows; there is one reading at a time, and requests only wait for it. When
the issuer is away the keys that are known are good for a day more.

A kid that is not known may be that of a new key, or an invention. So

    it is looked for anew       at most once in `COOL_DOWN_SECONDS`, whoever asks
    it is refused               if the keys were read after the request came, or clearly after the
                                token says that it was issued: its key would be among them
    the answer is 503           if the keys cannot be read, or not yet again: nobody knows

After an announcement the keys are read twice. The first answer may come from a worker of the issuer
that has not heard of the change itself, so no kid is refused before the second. Nor does a first
answer count for long: as long as the second look fails, the announcement was not read.
"""

import asyncio
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress

from limen.verify.elapsed import elapsed
from limen.verify.key_source import FETCH_SECONDS, KeySource
from limen.verify.keyset import KeySet, VerificationKey
from limen.verify.reachability import Reachability

STALE_SECONDS = 86400.0
COOL_DOWN_SECONDS = 5.0
SECOND_LOOK_SECONDS = 1.5  # every worker of the issuer reads its database once a second
PATIENCE_SECONDS = 3.0  # of a request
CLOCKS_SECONDS = 5  # by which the issuer's clock may differ from ours

_LOOKS = 2  # after an announcement
_LOOK_AT_THE_CLOCK_SECONDS = 1.0


class RemoteKeys:
    """What `source` gives, read by a thread from `start` until `close`."""

    def __init__(
        self, source: KeySource, issuer: str, monotonic: Callable[[], float] = elapsed
    ) -> None:
        self._source = source
        self._reachability = Reachability("keys", issuer)
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closed = False

        self._keys = KeySet([])
        self._read_at = -math.inf  # began, when it succeeded
        self._read_at_time = -math.inf  # the same by the clock on the wall
        self._due = -math.inf
        self._asked_at = -math.inf
        self._failed = False
        self._looks, self._overtaken = 0, False
        self._reading: Future[bool] | None = None
        self._next = _promise()

    def find(self, kid: str) -> VerificationKey | None:
        """Return the key of that kid, if it is known and was confirmed within a day."""
        return None if self._is_stale() else self._keys.find(kid)

    async def renew(self, kid: str, issued_at: int) -> bool:
        """Wait for what can be known of that kid; return whether that is enough to judge.

        In an event loop of asyncio: its time limit is asyncio's.
        """
        began = self._monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not self._can_judge(kid, issued_at, began):
                    reading = self._awaited()
                    if reading is None or not await asyncio.wrap_future(reading):
                        return False
                return True
        return False

    def renew_blocking(self, kid: str, issued_at: int) -> bool:
        """Do the same in a thread that may wait."""
        began = self._monotonic()
        until = time.monotonic() + PATIENCE_SECONDS
        while not self._can_judge(kid, issued_at, began):
            reading = self._awaited()
            try:
                if reading is None or not reading.result(max(0.0, until - time.monotonic())):
                    return False
            except TimeoutError:
                return False
        return True

    def announce(self) -> None:
        """Have the keys read now, and once more: the issuer says that they have changed."""
        with self._changed:
            self._looks, self._overtaken, self._due = _LOOKS, True, -math.inf
            self._changed.notify_all()

    def catch_up(self) -> bool:
        """Wait until what was announced was read; return whether it was, or nothing yet at all."""
        with self._changed:
            return self._changed.wait_for(self._has_caught_up, FETCH_SECONDS)

    def start(self) -> None:
        """Begin to read, if nobody has yet."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="limen keys", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Read no more, and let nobody wait."""
        with self._changed:
            self._is_closed = True
            self._next.set_result(False)
            self._next = _promise()
            self._changed.notify_all()

    def _is_stale(self) -> bool:
        return self._monotonic() - self._read_at > STALE_SECONDS

    def _has_caught_up(self) -> bool:
        is_read = self._looks == 0 or (self._looks < _LOOKS and not self._failed)
        return is_read or self._read_at == -math.inf or self._is_closed

    def _can_judge(self, kid: str, issued_at: int, began: float) -> bool:
        if self._is_stale():
            return False
        if self._keys.find(kid) is not None:
            return True
        is_later = self._read_at >= began or self._read_at_time > issued_at + CLOCKS_SECONDS
        return is_later and not self._looks

    def _awaited(self) -> Future[bool] | None:
        """Return the reading that is worth waiting for, if there is one."""
        with self._changed:
            now = self._monotonic()
            if self._is_closed or self._failed:
                return None
            if self._reading is not None:
                return self._reading
            if self._due > now + PATIENCE_SECONDS:
                if now - self._asked_at < COOL_DOWN_SECONDS:
                    return None
                self._asked_at, self._due = now, -math.inf
                self._changed.notify_all()
            return self._next

    def _run(self) -> None:
        while self._begin():
            try:
                keys, age = self._source.read()
            except Exception as error:  # noqa: BLE001  a mistake of ours must not end it for good
                self._end(None, self._reachability.failed(error))
            else:
                self._reachability.succeeded()
                self._end(keys, 0.8 * age)

    def _begin(self) -> bool:
        """Wait until a reading is due; return False if there is to be none."""
        with self._changed:
            while not self._is_closed and (left := self._due - self._monotonic()) > 0:
                self._changed.wait(min(left, _LOOK_AT_THE_CLOCK_SECONDS))
            self._reading, self._next = self._next, _promise()
            self._overtaken = False
            self._began_at, self._began_at_time = self._monotonic(), time.time()
            return not self._is_closed

    def _end(self, keys: KeySet | None, pause: float) -> None:
        """Take the keys over, if they could be read; the next reading is due after `pause`."""
        with self._changed:
            self._failed = keys is None
            if keys is not None:
                self._keys = keys
                self._read_at, self._read_at_time = self._began_at, self._began_at_time
                if not self._overtaken:
                    self._looks = max(0, self._looks - 1)
                pause = min(pause, SECOND_LOOK_SECONDS) if self._looks else pause
            self._due = -math.inf if self._overtaken else self._monotonic() + pause
            finished, self._reading = self._reading, None
            self._changed.notify_all()
        if finished is not None:
            finished.set_result(keys is not None)


def _promise() -> "Future[bool]":
    """Return a future that those who wait for it cannot cancel."""
    promise: Future[bool] = Future()
    promise.set_running_or_notify_cancel()
    return promise
