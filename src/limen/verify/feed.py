"""Reading the feed of what an issuer has revoked (docs/revocation.md).

Each reading is a long poll from where the last one ended. What comes is believed as far as it is
well-formed: one bad entry, and the whole answer is refused, as if the issuer had been away. How
old the knowledge is, the issuer says; the time on the way is added, so that a slow network cannot
make old news look fresh.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from limen.verify.fetching import Unreachable, fetch
from limen.verify.revocations import Revocation, Revocations
from limen.verify.strict_json import loads

PATH = "/api/v1/auth/revocations"
WAIT_SECONDS = 5  # half of the bound: one poll may fail and the next still be in time
NETWORK_SECONDS = 3.0
MAX_BYTES = 1024 * 1024


class FeedReader:
    """Reads the feed of the issuer at an address into `revocations`, page after page."""

    def __init__(
        self, address: str, revocations: Revocations, monotonic: Callable[[], float]
    ) -> None:
        self._address = address
        self._revocations = revocations
        self._monotonic = monotonic
        self._seq, self._mark = 0, ""
        self._may_wait = False

    def read(self) -> list[Revocation]:
        """Read what is newer, waiting for it unless there is something at once; return it.

        Raises:
            Unreachable: There was no answer that can be used.
        """
        wait = WAIT_SECONDS if self._may_wait else 0
        query = f"after={self._seq}&mark={quote(self._mark, safe='')}&wait={wait}"
        self._may_wait = False
        began = self._monotonic()
        answer = fetch(
            f"{self._address}{PATH}?{query}", seconds=wait + NETWORK_SECONDS, max_bytes=MAX_BYTES
        )
        return self._take(answer.body, self._monotonic() - began)

    def _take(self, body: bytes, took: float) -> list[Revocation]:
        try:
            page = _page(body)
        except ValueError as error:
            raise Unreachable("its feed of revocations is malformed") from error
        self._revocations.apply(page.entries)
        self._revocations.expire(int(time.time()))
        if page.complete:
            self._revocations.synced(ago=page.age + max(0.0, took - page.waited))
        self._seq, self._mark, self._may_wait = page.seq, page.mark, page.complete
        return page.entries


@dataclass(frozen=True, slots=True)
class _Page:
    entries: list[Revocation]
    seq: int
    mark: str
    complete: bool
    age: float
    waited: float


def _page(body: bytes) -> _Page:
    document = loads(body)
    match document:
        case {
            "entries": list(entries),
            "seq": int(seq),
            "mark": str(mark),
            "complete": bool(complete),
            "age": int() | float() as age,
            "waited": int() | float() as waited,
        } if seq >= 0 and age >= 0 and waited >= 0:
            return _Page([_entry(entry) for entry in entries], seq, mark, complete, age, waited)
        case _:
            raise ValueError


def _entry(document: object) -> Revocation:
    match document:
        case {
            "seq": int(seq),
            "kind": ("session" | "account" | "keys") as kind,
            "subject": str(subject),
            "value": int(value),
            "expires_at": int(expires_at),
        }:
            return Revocation(seq, kind, subject, value, expires_at)
        case _:
            raise ValueError
