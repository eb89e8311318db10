"""Reading the feed of what an issuer has revoked (docs/revocation.md).

Each reading is a long poll from where the last one ended. What comes is believed as far as it is
well-formed: one bad entry, and the whole answer is refused, as if the issuer had been away. How
old the knowledge is, the issuer says; the time on the way is added, and that in a cache which
should not have answered, so that nothing can make old news look fresh.
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from limen.verify.fetching import Answer, Unreachable, fetch
from limen.verify.revocations import Revocation
from limen.verify.strict_json import loads

PATH = "/api/v1/auth/revocations"
WAIT_SECONDS = 5  # half of the bound: one poll may fail and the next still be in time
NETWORK_SECONDS = 3.0
MAX_BYTES = 1024 * 1024
MAX_MARK = 64


@dataclass(frozen=True, slots=True)
class Page:
    """What was newer. All of it, if it is `complete`, as it was at the moment `known_at`."""

    entries: list[Revocation]
    seq: int
    mark: str
    complete: bool
    known_at: float

    @property
    def announces_keys(self) -> bool:
        return any(entry.kind == "keys" for entry in self.entries)


class FeedReader:
    """Reads the feed of the issuer at an address, page after page, from the beginning."""

    def __init__(self, address: str, monotonic: Callable[[], float]) -> None:
        self._address = address
        self._monotonic = monotonic
        self._seq, self._mark = 0, ""
        self._may_wait = False

    def read(self) -> Page:
        """Return what is newer, waiting for it unless the last page was not all there was.

        Raises:
            Unreachable: There was no answer that can be used.
        """
        wait = WAIT_SECONDS if self._may_wait else 0
        self._may_wait = False  # after a failure one wants to know at once
        query = f"after={self._seq}&mark={quote(self._mark, safe='')}&wait={wait}"
        began = self._monotonic()
        answer = fetch(
            f"{self._address}{PATH}?{query}", seconds=wait + NETWORK_SECONDS, max_bytes=MAX_BYTES
        )
        try:
            page = _page(answer, began, self._monotonic())
        except ValueError as error:
            raise Unreachable("its feed of revocations is malformed") from error
        if not page.complete and (page.seq, page.mark) == (self._seq, self._mark):
            raise Unreachable("its feed of revocations does not go on")
        self._seq, self._mark, self._may_wait = page.seq, page.mark, page.complete
        return page


def _page(answer: Answer, began: float, ended: float) -> Page:
    match loads(answer.body):
        case {
            "entries": list(entries),
            "seq": int(seq),
            "mark": str(mark),
            "complete": bool(complete),
            "age": int() | float() as age,
            "waited": int() | float() as waited,
        } if min(seq, age, waited) >= 0 and len(mark) <= MAX_MARK:
            on_the_way = max(0.0, ended - began - waited)
            in_a_cache = max(0, int(answer.headers.get("age", "0")))
            known_at = ended - age - on_the_way - in_a_cache
            return Page([_entry(entry) for entry in entries], seq, mark, complete, known_at)
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
