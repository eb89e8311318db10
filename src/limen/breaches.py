"""Passwords that leaked elsewhere, looked up in somebody's list without telling him which.

The list is one like that of Have I Been Pwned. Of the SHA-1 of a password only the first five of
forty hexadecimal digits leave this process, which a million other passwords share:

    asked       GET {url}/5BAA6, with Add-Padding: true, so that the length of the answer tells
                nobody on the way which five they were
    answered    the other 35 digits of every password that is known to begin so, a colon, and how
                often it was seen: never, for those that are padding

What is no such answer to the last byte, or takes too long, or would lead elsewhere, is none. What
then becomes of the password is the operator's choice: it is accepted, or nobody can choose one for
now. Answers are kept for some hours, as digests of 8 bytes, and never logged; nor is the question.
"""

import asyncio
import hashlib
import re
import time
from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

import httpx2

from limen.errors import PasswordCheckUnavailable
from limen.events import BreachCheckFailed, Events

WhenDown = Literal["accept", "refuse"]

SECONDS = 3.0  # for all of an answer: somebody waits for it with a form in front of him
MOST_BYTES = 512 * 1024  # padded answers have some 80 KiB
KEPT_SECONDS = 6 * 3600.0
KEPT_RANGES = 1000  # of a million; some 12 KiB each

_PREFIX = 5  # hexadecimal digits
_KEPT = 16  # of the others: among the thousand of one range, no two are alike in all of these
_LINE = re.compile(rb"([0-9A-Fa-f]{35}):([0-9]{1,10})")

# Not httpx2's client, which follows netrc, cookies and proxies of the environment, and whose log
# lines hold the address that was asked. There is no body, and nothing is decoded.
_HEADERS = {"Add-Padding": "true", "Accept-Encoding": "identity", "User-Agent": "limen"}


class _NoAnswer(Exception):
    """What came back is not a range; the message says why, and holds nothing of it."""


class BreachedPasswords:
    """Asks the list at `url`; `when_down` says what becomes of a password that nobody can look up.

    `monotonic` is a clock in seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        when_down: WhenDown,
        events: Events,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._when_down = when_down
        self._events = events
        self._monotonic = monotonic
        self._transport = httpx2.AsyncHTTPTransport()
        self._known: OrderedDict[str, tuple[float, array[int]]] = OrderedDict()

    async def have(self, password: str) -> bool:
        """Whether the password has leaked; if nobody can tell, no, or an error, as was chosen.

        Raises:
            PasswordCheckUnavailable: Nobody can tell.
        """
        digest = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()
        prefix, rest = digest[:_PREFIX], int(digest[_PREFIX:][:_KEPT], 16)
        try:
            known = await self._range(prefix)
        except (_NoAnswer, httpx2.HTTPError, TimeoutError, OSError) as error:
            why = str(error) if isinstance(error, _NoAnswer) else type(error).__name__
            self._events.emit(BreachCheckFailed(why))
            if self._when_down == "refuse":
                raise PasswordCheckUnavailable from None
            return False
        place = bisect_left(known, rest)
        return place < len(known) and known[place] == rest

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def _range(self, prefix: str) -> "array[int]":
        """Return the digests of a range in their order, from memory if they came of late."""
        now = self._monotonic()
        if prefix in self._known:
            read_at, known = self._known[prefix]
            if now - read_at < KEPT_SECONDS:
                self._known.move_to_end(prefix)
                return known
        async with asyncio.timeout(SECONDS):
            answer = await self._answer(prefix)
        known = array("Q", sorted(_digests(answer)))
        self._known[prefix] = now, known
        self._known.move_to_end(prefix)
        if len(self._known) > KEPT_RANGES:
            self._known.popitem(last=False)
        return known

    async def _answer(self, prefix: str) -> bytes:
        request = httpx2.Request("GET", f"{self._url}/{prefix}", headers=_HEADERS)
        response = await self._transport.handle_async_request(request)
        try:
            return await _body(response)
        finally:
            await response.aclose()


async def _body(response: httpx2.Response) -> bytes:
    if response.status_code != httpx2.codes.OK:
        raise _NoAnswer(f"status {response.status_code}")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise _NoAnswer("an encoding that was not asked for")
    # Without either of these, half an answer looks like a whole one.
    if not {"content-length", "transfer-encoding"} & {name.lower() for name in response.headers}:
        raise _NoAnswer("an answer without an end")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MOST_BYTES:
            raise _NoAnswer(f"more than {MOST_BYTES} bytes")
    return bytes(body)


def _digests(answer: bytes) -> list[int]:
    lines = [_LINE.fullmatch(line) for line in answer.removesuffix(b"\n").splitlines()]
    if not lines or None in lines:
        raise _NoAnswer("no list of digests")
    seen = (line for line in lines if line and int(line[2]))  # those never seen are padding
    return [int(line[1][:_KEPT], 16) for line in seen]
