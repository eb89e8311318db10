"""The latency of a login, one at a time, against the time of its hash."""

import asyncio
import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from operator import sub

from benchmarks.asking import AUTH, JSON, RS256, TRUSTING, on_database
from benchmarks.bench import Bench, Result
from benchmarks.client import Client, request
from benchmarks.figures import Finding, Target, WrongAnswerError, at_best, interleaved
from benchmarks.hashing import hash_time
from benchmarks.peers_running import the_least
from benchmarks.population import PASSWORD, populate
from benchmarks.processes import limen_serves

PEOPLE = 1000
HASH_SECONDS = 0.035  # about what one takes, for how many fit into an arm's time

DATABASES = ("SQLite", "PostgreSQL")


def run(bench: Bench) -> Result:
    with ExitStack() as stack:
        arms = {"hash": lambda seconds: _median(hash_time(_times(seconds)))}
        for name in DATABASES:
            url = bench.postgresql() if name == "PostgreSQL" else None
            data = bench.data()
            people = populate(data, url, people=PEOPLE, sessions=0)
            served = stack.enter_context(
                limen_serves(data, RS256 | TRUSTING | on_database(url))
            ).url
            arms[f"limen, {name}"] = _Logins(served, people.emails)
            if not bench.pace.quick:
                running = stack.enter_context(the_least(bench, name, "RS256"))
                arms[f"the least, {name}"] = _Logins(running.url, people.emails)
        medians = interleaved(bench.pace, bench.noise, arms)
    result = Result.of(medians, "ms")
    for name in DATABASES:
        more = medians.figure(lambda cycle, name=name: cycle[f"limen, {name}"] - cycle["hash"])  # type: ignore[misc]
        what = f"login latency over its hash, {name}, median"
        target, least = Target(most=3.0), at_best(medians, f"the least, {name}", "hash", sub)
        result.findings.append(Finding(what, more, "ms", target, "the hash alone", least))
    result.notes.append(f"one hash took {result.arms['hash'].median:.1f} ms")
    return result


class _Logins:
    """Signs in one after another, each time somebody else; gives the median in milliseconds."""

    def __init__(self, url: str, emails: Sequence[str]) -> None:
        self._url = url
        self._emails = emails
        self._done = 0

    def __call__(self, seconds: float) -> float:
        return asyncio.run(self._run(_times(seconds)))

    async def _run(self, times: int) -> float:
        async with Client(self._url).open() as client:
            answers = [await client.ask(self._next()) for _ in range(times)]
        if any(answer.status != 200 for answer in answers):  # noqa: PLR2004
            raise WrongAnswerError(f"a login was answered {answers[0].status}")
        return _median([answer.latency for answer in answers])

    def _next(self) -> bytes:
        self._done += 1
        body = (
            f'{{"email":"{self._emails[self._done % len(self._emails)]}","password":"{PASSWORD}"}}'
        )
        elsewhere = {"X-Forwarded-For": f"10.1.{self._done // 250 % 250}.{self._done % 250}"}
        return request("POST", f"{AUTH}/login", JSON | elsewhere, body)


def _times(seconds: float) -> int:
    return max(10, round(seconds / HASH_SECONDS))


def _median(seconds: list[float]) -> float:
    return statistics.median(seconds) * 1000
