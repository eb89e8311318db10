"""Guarded requests and refreshes while two hundred logins stay queued in the same process.

limen is mounted in an application, so that one event loop has it all. Requests come on a schedule,
whether or not the ones before were answered. First nobody signs in; then wrk keeps two hundred
logins waiting, one for each connection.
"""

import asyncio
import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random

from benchmarks.asking import AUTH, ES256, JSON, PATIENT, TRUSTING, sign_in
from benchmarks.bench import SEED, Bench, Result
from benchmarks.client import Answer, Client, percentile, request
from benchmarks.figures import Figure, Finding, Target, WrongAnswerError, repeated
from benchmarks.hashing import HASH_LOOP, hash_loop
from benchmarks.load import ask
from benchmarks.population import PASSWORD, Population, populate
from benchmarks.processes import application

QUEUED = 200
GUARDED_RATE = 60.0  # a second
REFRESH_RATE = 20.0
SETTLE = 1.0  # until the queue is full
AT_ONCE = 0.15  # seconds
QUIET_SECONDS = 60


@dataclass(frozen=True, slots=True)
class _Cycle:
    """The p99 of guarded requests and refreshes without and with logins, and the logins' rate."""

    guarded: tuple[float, float]
    refreshed: tuple[float, float]
    logins: float
    bound: float


def run(bench: Bench) -> Result:
    data, seconds = bench.data(), 4 * bench.pace.seconds
    turns = 2 * (bench.pace.cycles + bench.pace.cycles // 2)
    sessions = round(turns * seconds * REFRESH_RATE * 1.5)
    people = populate(data, None, people=1000, sessions=sessions, algorithm="ES256")
    settings = ES256 | TRUSTING | PATIENT | {"LIMEN_DATA_DIR": str(data)}
    with application("apps.mounted:app", settings) as served:
        url, bystanders = served.url, _Bystanders(served.url, people)

        def cycle(number: int) -> _Cycle:
            alone = bystanders.ask(seconds, number)
            bound = hash_loop(bench.pace.seconds)
            with ThreadPoolExecutor(1) as pool:
                asking = sign_in(people.emails, QUEUED)
                logins = pool.submit(ask, url, asking, seconds + 2 * SETTLE)
                time.sleep(SETTLE)
                beside = bystanders.ask(seconds, number)
            bystanders.wait_for_quiet()
            rate = logins.result().rate
            return _Cycle((alone[0], beside[0]), (alone[1], beside[1]), rate, bound)

        cycles = repeated(bench.pace, bench.noise, cycle)
    guarded = Figure.of([each.guarded[1] / each.guarded[0] for each in cycles.kept])
    refreshed = Figure.of([each.refreshed[1] / each.refreshed[0] for each in cycles.kept])
    logins = Figure.of([each.logins / each.bound for each in cycles.kept])
    alone = "the same, nobody signing in"
    return Result(
        findings=[
            Finding(
                "p99 of guarded requests, 200 logins queued", guarded, "×", Target(most=3), alone
            ),
            Finding("p99 of refreshes, 200 logins queued", refreshed, "×", Target(most=4), alone),
            Finding("logins a second meanwhile", logins, "×", Target(least=0.85), HASH_LOOP),
        ],
        arms={
            "guarded, alone": cycles.figure(lambda each: each.guarded[0] * 1000),
            "guarded, 200 logins queued": cycles.figure(lambda each: each.guarded[1] * 1000),
            "refresh, alone": cycles.figure(lambda each: each.refreshed[0] * 1000),
            "refresh, 200 logins queued": cycles.figure(lambda each: each.refreshed[1] * 1000),
        },
        unit="ms at p99",
        dropped=cycles.dropped,
        disturbed=cycles.disturbed,
    )


class _Bystanders:
    """People who are signed in, and go on with what they do; each refreshes his session once."""

    def __init__(self, url: str, people: Population) -> None:
        self._url = url
        self._emails = itertools.cycle(people.emails)
        bearers = ({"Authorization": f"Bearer {token}"} for token in people.access_tokens[:200])
        self._guarded = itertools.cycle([request("GET", "/orders", one) for one in bearers])
        bodies = (f'{{"refresh_token":"{token}"}}' for token in people.refresh_tokens)
        self._refreshes = (request("POST", f"{AUTH}/refresh", JSON, body) for body in bodies)

    def ask(self, seconds: float, seed: int) -> tuple[float, float]:
        """Return the p99 of guarded requests, and that of refreshes."""
        return asyncio.run(self._ask(seconds, Random(SEED + seed)))  # noqa: S311  repeatable

    def wait_for_quiet(self) -> None:
        """Wait until a login is answered at once: those who left may still have been hashed."""
        asyncio.run(self._wait())

    async def _ask(self, seconds: float, rng: Random) -> tuple[float, float]:
        async with Client(self._url).open() as client:
            guarded, refreshed = await asyncio.gather(
                client.scheduled(self._guarded, GUARDED_RATE, seconds, rng),
                client.scheduled(self._refreshes, REFRESH_RATE, seconds, rng),
            )
        return _p99(guarded), _p99(refreshed)

    async def _wait(self) -> None:
        async with Client(self._url).open() as client, asyncio.timeout(QUIET_SECONDS):
            while (await client.ask(self._login())).latency > AT_ONCE:  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    def _login(self) -> bytes:
        body = f'{{"email":"{next(self._emails)}","password":"{PASSWORD}"}}'
        return request("POST", f"{AUTH}/login", JSON | {"X-Forwarded-For": "10.9.9.9"}, body)


def _p99(answers: list[Answer]) -> float:
    if any(answer.status != 200 for answer in answers):  # noqa: PLR2004
        raise WrongAnswerError(f"{sorted({answer.status for answer in answers})} were answered")
    return percentile([answer.latency for answer in answers], 0.99)
