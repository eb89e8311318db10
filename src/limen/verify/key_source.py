"""Where the key set of an issuer is read from: its /.well-known/jwks.json, or a file.

It is read within bounds and strictly: whatever is odd about it, it is as if the issuer had been
away, and the keys that are known stay. As long as nothing in it has changed, reading gives the same
keys, so that what was verified with them need not be verified again.
"""

import re
from pathlib import Path

from limen.verify.fetching import Unreachable, fetch
from limen.verify.keyset import KeySet
from limen.verify.strict_json import loads

PATH = "/.well-known/jwks.json"
FETCH_SECONDS = 5.0
MAX_BYTES = 256 * 1024
MAX_KEYS = 100

AGES = (30, 3600)  # the lowest and the highest in seconds, whatever Cache-Control says
USUAL_AGE = 300

_MAX_AGE = re.compile(r"(?:^|[,\s])max-age=(\d{1,9})(?=[,\s]|$)")
_NEVER = re.compile(r"(?:^|[,\s])no-(?:store|cache)(?=[,\s]|$)")


class KeySource:
    """The key set of the issuer at `address`, or that in a file."""

    def __init__(self, address: str, file: Path | None = None) -> None:
        self._address = address
        self._file = file
        self._document = b""
        self._keys = KeySet([])

    def read(self) -> tuple[KeySet, int]:
        """Return the keys, and for how many seconds they may be used before they are read again.

        Raises:
            Unreachable: There is no key set that can be used.
        """
        try:
            document, age = self._read_file(self._file) if self._file else self._fetch()
            if document != self._document:
                self._keys, self._document = _key_set(document), document
        except (OSError, ValueError) as error:
            raise Unreachable(f"its key set cannot be used: {error}") from error
        return self._keys, age

    def _read_file(self, file: Path) -> tuple[bytes, int]:
        with file.open("rb") as opened:
            document = opened.read(MAX_BYTES + 1)
        if len(document) > MAX_BYTES:
            raise ValueError(f"It has more than {MAX_BYTES} bytes.")
        return document, USUAL_AGE

    def _fetch(self) -> tuple[bytes, int]:
        answer = fetch(self._address + PATH, seconds=FETCH_SECONDS, max_bytes=MAX_BYTES)
        return answer.body, _age(answer.headers.get("cache-control", "").lower())


def _key_set(document: bytes) -> KeySet:
    parsed = loads(document)
    if not isinstance(parsed, dict):
        raise ValueError("A key set is a JSON object.")  # noqa: TRY004  what is read is no argument
    if isinstance(keys := parsed.get("keys"), list) and len(keys) > MAX_KEYS:
        raise ValueError(f"A key set has {MAX_KEYS} keys at most.")
    return KeySet.from_jwks(parsed)


def _age(cache_control: str) -> int:
    lowest, highest = AGES
    if _NEVER.search(cache_control):
        return lowest
    found = _MAX_AGE.search(cache_control)
    return max(lowest, min(int(found[1]), highest)) if found else USUAL_AGE
