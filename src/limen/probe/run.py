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
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from limen.probe.sending import Answer, Target
from limen.verify.hostile import Catalogue, Hostile

Verdict = Literal["accepted", "error", "noted", "refused", "unclear"]

# Answers that say something about the service's day, not about the token.
_UNCLEAR = frozenset({408, 429, 503})

# So many unclear answers one after another, and whoever answers has had enough.
_GIVE_UP_AFTER = 5


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
    wait = _paced(rate, sleep)
    bearer = (("Authorization", f"Bearer {token}"),)
    with_token = _sent(wait, target, bearer)
    without_token = _sent(wait, target, ())
    if doubt := _doubt_before(with_token, without_token):
        return Report(with_token, without_token, unsent=catalogue.hostile, doubt=doubt)
    results = _attack(wait, target, catalogue.hostile)
    unsent = catalogue.hostile[len(results) :]
    afterwards = _sent(wait, target, bearer)
    doubt = _doubt_after(afterwards, unsent)
    return Report(with_token, without_token, afterwards, results, unsent, doubt)


def _attack(
    wait: Callable[[], None], target: Target, hostile: Sequence[Hostile]
) -> tuple[Result, ...]:
    results: list[Result] = []
    for each in hostile:
        wait()
        answer = target.send(each.sent, each.query)
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


def _doubt_after(afterwards: Answer, unsent: Sequence[Hostile]) -> str:
    if unsent:
        return (
            f"The service stopped answering clearly, so {len(unsent)} requests were not sent."
            " Is there a limit on requests? Try a lower --rate."
        )
    if judge(afterwards) != "accepted":
        return (
            f"The valid token was no longer let in at the end ({afterwards}), so refusals may have"
            " had another reason. Did it expire meanwhile, or were you blocked?"
        )
    return ""


def _sent(wait: Callable[[], None], target: Target, headers: tuple[tuple[str, str], ...]) -> Answer:
    wait()
    return target.send(headers)


def _paced(rate: float, sleep: Callable[[float], None]) -> Callable[[], None]:
    """Return a function that lets its caller go on at most `rate` times a second."""
    due = time.monotonic()

    def wait() -> None:
        nonlocal due
        if (early := due - time.monotonic()) > 0:
            sleep(early)
        due = max(due, time.monotonic()) + 1 / rate

    return wait
