"""The log of what was revoked, for verifiers in other services.

A verifier elsewhere has no database. It asks for what is newer than the number it has, and the
answer may wait until there is something: a long poll. Everything comes from this process's memory
of the log, so that asking costs the database nothing; entries name nobody, so anybody may ask.

An answer is only as young as the memory it comes from, and says how old that is: whoever adds it
up knows when his own knowledge is too old. A memory past its bound is no answer at all.

A number higher than ours has three causes: another worker is ahead of us, which the next round
mends; the database was restored, and the log has to be read from its beginning; or nonsense. A
restored log, or that of a standby that took over, may be as long as the old one and still another:
so a number comes with the mark of its entry, and if we have no such entry, we begin anew as well.

Those who wait are `MAX_WAITING` at most. Whoever comes on top of them is answered at once, which
turns his long polls into short ones, and nobody is refused.
"""

import json
import re
import time
from dataclasses import dataclass

from limen.revocation import Published, RevocationLog
from limen.rounds import Rounds
from limen.verify.errors import RevocationsStale
from limen.verify.revocations import Revocations, subject_digest

MAX_WAIT_SECONDS = 20  # shorter than proxies let an answer take
MAX_WAITING = 1000
LOOK_SECONDS = 0.5  # whoever waits sees so often that the process stops, or knows too little
MAX_ENTRIES = 1000  # of one answer, some 150 bytes each


@dataclass(frozen=True, slots=True)
class Page:
    """What is newer; `seq` and `mark` are what to ask with next.

    When it is not `complete`, more can be had at once. `age` is how many seconds old this knowledge
    is, and `waited` how many the question has waited for it.
    """

    entries: list[Published]
    seq: int
    mark: str
    complete: bool
    age: float
    waited: float

    def body(self) -> bytes:
        """Return the page as JSON; the entries were written when they were pulled."""
        others = ("seq", "mark", "complete", "age", "waited")
        rest = json.dumps({name: getattr(self, name) for name in others})
        entries = b",".join(entry.written for entry in self.entries)
        return b'{"entries":[' + entries + b"]," + rest[1:].encode()


class Feed:
    """The feed of one process. `rounds` are those in which it reads the log."""

    def __init__(self, log: RevocationLog, memory: Revocations, rounds: Rounds) -> None:
        self._log = log
        self._memory = memory
        self._rounds = rounds
        self._waiting = 0
        self._is_closed = False

    async def read(self, after: int, mark: str = "", *, wait: float = 0) -> Page:
        """Return what is newer than `after`, waiting up to `wait` seconds for it to be something.

        Raises:
            RevocationsStale: What was revoked is not known well enough here.
        """
        began = time.monotonic()
        if after > self._log.seq:
            await self._rounds.anew()
        until = time.monotonic() + wait
        while not (page := self._page(after, mark, began)).entries and self._may_wait(until):
            await self._news(until)
        if not self._memory.is_fresh:
            raise RevocationsStale
        return page

    def close(self) -> None:
        """Let nobody wait from now on: the process is about to stop."""
        self._is_closed = True

    def _page(self, after: int, mark: str, began: float) -> Page:
        known = self._log.seq
        if after > known or (mark and not self._has(mark)):
            after, mark = 0, ""
        entries = self._log.newer(after, MAX_ENTRIES)
        complete = len(entries) < MAX_ENTRIES or entries[-1].seq == known
        return Page(
            entries,
            seq=known if complete else entries[-1].seq,
            mark=_mark_of(entries[-1]) if entries else mark,
            complete=complete,
            age=self._memory.age,
            waited=time.monotonic() - began,
        )

    def _has(self, mark: str) -> bool:
        seq = mark.partition("-")[0]
        found = self._log.newer(int(seq) - 1, 1) if re.fullmatch(r"[0-9]{1,19}", seq) else []
        return bool(found) and _mark_of(found[0]) == mark

    def _may_wait(self, until: float) -> bool:
        room = self._waiting < MAX_WAITING and not self._is_closed
        return room and self._memory.is_fresh and time.monotonic() < until

    async def _news(self, until: float) -> None:
        self._waiting += 1
        try:
            await self._log.news(min(until - time.monotonic(), LOOK_SECONDS))
        finally:
            self._waiting -= 1


def _mark_of(entry: Published) -> str:
    return f"{entry.seq}-{subject_digest(entry.written.decode())[:16]}"
