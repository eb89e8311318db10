"""The probe: first make sure that an answer means something, then send and judge.

    control       the valid token is let in, and no token is not; else nothing can be concluded
    hostile       one after the other, no faster than the rate
    control       the valid token is still let in; else the refusals may have had another reason,
                  such as a block on whoever sends so many bad tokens

What an answer to a hostile request means:

    2xx           accepted: that is a finding; or merely noted, where the standards allow it
    5xx           an error that nobody handled: a finding too, of another kind. But 503 is unclear,
                  a service may say that for good reasons
    3xx, 4xx      refused; a redirect leads to a login page. But 408 and 429 are unclear
    no answer     unclear

429 and 503 may mean "not now": after a pause that request is sent once more. What stays unclear
was not tried, and the report says so: it must not pass for "nothing found".
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import SERVICE_UNAVAILABLE, TOO_MANY_REQUESTS
from typing import Literal

from limen.probe.sending import Answer, Headers, Target
from limen.verify.hostile import Catalogue, Hostile

Verdict = Literal["accepted", "error", "noted", "refused", "unclear"]

# Answers that say something about the service's day, not about the token.
_UNCLEAR = frozenset({408, 429, 503})

# The longest pause before a request is sent once more: limen's own guard looks for a key that it
# does not know once in five seconds.
PAUSE_SECONDS = 6.0

# So many unclear answers one after another, and whoever answers has had enough.
_GIVE_UP_AFTER = 5

_Ask = Callable[[Headers, str], Answer]


@dataclass(frozen=True, slots=True)
class Result:
    """How one hostile request was answered, and what that means."""

    hostile: Hostile
    answer: Answer
    verdict: Verdict

    @property
    def is_finding(self) -> bool:
        return self.verdict in ("accepted", "error")


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a probe. `doubt` says why nothing, or not all, can be concluded."""

    with_token: Answer
    without_token: Answer
    afterwards: Answer | None = None
    results: tuple[Result, ...] = ()
    unsent: tuple[Hostile, ...] = ()
    doubt: str = ""


def judge(answer: Answer, *, allowed: bool = False) -> Verdict:
    """Return what this answer means, to a hostile request or one that the standards allow."""
    if answer.status is None or answer.status in _UNCLEAR:
        return "unclear"
    if answer.status in range(200, 300):
        return "noted" if allowed else "accepted"
    return "error" if answer.status >= 500 else "refused"  # noqa: PLR2004  as the table above says


def probe(
    target: Target,
    token: str,
    catalogue: Catalogue,
    *,
    rate: float,
    sleep: Callable[[float], None] = time.sleep,
) -> Report:
    """Send the catalogue to the target, at most `rate` requests a second, and judge the answers."""
    ask = _politely(target, rate, sleep)
    bearer = (("Authorization", f"Bearer {token}"),)
    with_token = ask(bearer, "")
    without_token = ask((), "")
    if doubt := _doubt_before(with_token, without_token):
        return Report(with_token, without_token, unsent=catalogue.hostile, doubt=doubt)
    results = _attack(ask, catalogue.hostile)
    unsent = catalogue.hostile[len(results) :]
    afterwards = ask(bearer, "")
    doubt = _doubt_after(afterwards, results, unsent)
    return Report(with_token, without_token, afterwards, results, unsent, doubt)


def _politely(target: Target, rate: float, sleep: Callable[[float], None]) -> _Ask:
    """Return a function that sends one request at its time, and again if it is put off."""
    wait = _paced(rate, sleep)

    def ask(headers: Headers, query: str) -> Answer:
        wait()
        answer = target.send(headers, query)
        if (pause := _pause(answer)) is not None:
            sleep(pause)
            wait()
            answer = target.send(headers, query)
        return answer

    return ask


def _pause(answer: Answer) -> float | None:
    if answer.status == TOO_MANY_REQUESTS and answer.retry_after is not None:
        return min(answer.retry_after, PAUSE_SECONDS)  # whoever has a limit knows when it is over
    return PAUSE_SECONDS if answer.status in (TOO_MANY_REQUESTS, SERVICE_UNAVAILABLE) else None


def _attack(ask: _Ask, hostile: Sequence[Hostile]) -> tuple[Result, ...]:
    results: list[Result] = []
    for each in hostile:
        answer = ask(each.sent, each.query)
        verdict = judge(answer, allowed=each.attack.severity == "note")
        results.append(Result(each, answer, verdict))
        last = results[-_GIVE_UP_AFTER:]
        if len(last) == _GIVE_UP_AFTER and all(result.verdict == "unclear" for result in last):
            break
    return tuple(results)


def _doubt_before(with_token: Answer, without_token: Answer) -> str:
    if judge(with_token) != "accepted":
        return (
            f"The valid token was not let in ({with_token}), so a refusal says nothing. Has it"
            " expired? Is it for this service, and this the method?"
        )
    if judge(without_token) == "accepted":
        return (
            f"A request without a token was let in ({without_token}): this address is open to"
            " everybody. Choose one that is protected; if it should be, that is your finding."
        )
    if judge(without_token) != "refused":
        return (
            f"A request without a token was not refused but answered with {without_token}:"
            " answer 401 first."
        )
    return ""


def _doubt_after(afterwards: Answer, results: Sequence[Result], unsent: Sequence[Hostile]) -> str:
    doubts = []
    if unclear := [result for result in results if result.verdict == "unclear"]:
        doubts.append(f"Not answered clearly, and so not tried: {_named(unclear)}.")
    if unsent:
        doubts.append(
            f"The service stopped answering clearly, so {len(unsent)} requests were not sent."
            " Is there a limit on requests? Try a lower --rate."
        )
    if judge(afterwards) != "accepted":
        doubts.append(
            f"The valid token was no longer let in at the end ({afterwards}), so refusals may have"
            " had another reason. Did it expire meanwhile, or were you blocked?"
        )
    return " ".join(doubts)


def _named(results: Sequence[Result]) -> str:
    """Return "spelling (padded: 503; dots: 503), in-cookie (cookie jwt: 429)"."""
    attacks: dict[str, list[str]] = {}
    for result in results:
        told = f"{result.hostile.name}: {result.answer}"
        attacks.setdefault(result.hostile.attack.name, []).append(told)
    return ", ".join(f"{attack} ({'; '.join(told)})" for attack, told in attacks.items())


def _paced(rate: float, sleep: Callable[[float], None]) -> Callable[[], None]:
    """Return a function that lets its caller go on at most `rate` times a second."""
    due = time.monotonic()

    def wait() -> None:
        nonlocal due
        if (early := due - time.monotonic()) > 0:
            sleep(early)
        due = max(due, time.monotonic()) + 1 / rate

    return wait
