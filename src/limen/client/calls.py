"""What is said to limen, and what its answers mean, whoever carries them.

An answer decides something, or it does not. Only limen's own words decide: a proxy's 401 or a
captive portal's 200 ends no session and starts none.
"""

import random
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final, TypeAlias, TypeVar

from limen.client.errors import LimenUnavailable, UnexpectedAnswer
from limen.client.stores import Tokens

# An attempt as a whole: what comes later is no answer. docs/refresh.md relies on it.
DEADLINE_SECONDS = 30.0
# Between the attempts of one call, and the longest Retry-After that is waited for. No pause is
# as long as it says, but up to so many times: not all at once, when limen is back.
PAUSES = (1.0, 2.0, 4.0)
LONGEST_PAUSE = 10.0
SPREAD = 1.25
# All attempts and all pauses of one call.
LONGEST_CALL = (len(PAUSES) + 1) * DEADLINE_SECONDS + len(PAUSES) * LONGEST_PAUSE * SPREAD

# Below 500, what says "not now" (409 is "somebody was faster").
_NOT_NOW: Final = frozenset({408, 409, 425, 429})
_MAX_DIGITS = 6

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """A POST to limen, at a path below /api/v1/auth."""

    path: str
    body: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `status` is 0 if nothing did, and `why` says so; header names are lower."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)
    why: str = ""


@dataclass(frozen=True, slots=True)
class Credentials:
    email: str = field(repr=False)
    password: str = field(repr=False)

    @property
    def account(self) -> str:
        return sha256(self.email.encode()).hexdigest()


Steps: TypeAlias = Generator[Call | Pause, Answer | None, T]


def answer_to(call: Call) -> Steps[Answer]:
    answer = yield call
    return answer or Answer(0, why="no answer")


def pair_in(answer: Answer, asked_at: float, account: str) -> Tokens | None:
    """Return the tokens, their age counted from before they were made."""
    found = answer.document
    access, refresh = found.get("access_token"), found.get("refresh_token")
    expires_in = found.get("expires_in")
    if (
        answer.status == HTTPStatus.OK
        and isinstance(access, str)
        and isinstance(refresh, str)
        and isinstance(expires_in, int)
    ):
        return Tokens(access, refresh, asked_at, expires_in, account)
    return None


def is_problem(answer: Answer, status: int, code: str) -> bool:
    """Say whether limen said so: a proxy's 401, or a page's, ends no session."""
    return answer.status == status and answer.document.get("code") == code


def pause_after(call: Call, answer: Answer, pause: float | None) -> Steps[None]:
    """Let some time pass before the next attempt, if there may be one."""
    if (
        answer.status
        and answer.status < HTTPStatus.INTERNAL_SERVER_ERROR
        and answer.status not in _NOT_NOW
    ):
        raise UnexpectedAnswer(call.path, answer.status)
    seconds = retry_after(answer)
    if pause is None or (seconds or 0) > LONGEST_PAUSE:
        raise LimenUnavailable(answer.why or f"status {answer.status}", seconds)
    yield Pause(max(pause, seconds or 0) * random.uniform(1.0, SPREAD))  # noqa: S311


def retry_after(answer: Answer) -> float | None:
    """Return the seconds of the header. A date would have to be compared with a clock."""
    value = answer.headers.get("retry-after", "")
    return (
        float(value) if value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS else None
    )
