"""Ten times as many logins as there is capacity: what is served, what is refused, what it costs.

Capacity is what a closed loop of 64 clients gets. Then logins come on a schedule, ten times as
many, from clients that wait for nobody, and after that they all hang up at once.
"""

import asyncio
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Self

from benchmarks.asking import AUTH, ES256, JSON, TRUSTING, sign_in
from benchmarks.bench import SEED, Bench, Result
from benchmarks.client import Answer, Client, percentile, request
from benchmarks.figures import Finding, Target, WrongAnswerError, repeated
from benchmarks.hashing import THREADS
from benchmarks.load import ask
from benchmarks.population import COST, PASSWORD, populate
from benchmarks.processes import limen_serves, resident

CLIENTS = 64
TIMES = 10
AFTER = 1.0  # seconds after which everything is to be as before
PROBES = 10
PLACE_MIB = 0.1  # of memory for each login that waits: its request, its task, its connection
SAMPLES = 0.1  # seconds between two looks at the memory
OK, BUSY = 200, 503


@dataclass(frozen=True, slots=True)
class _Cycle:
    capacity: float
    goodput: float
    refused_p99: float
    refused: float
    peak: float
    waiting: int
    before: float
    after: float


def run(bench: Bench) -> Result:
    data, seconds = bench.data(), 2 * bench.pace.seconds + 5  # the queue alone is five seconds long
    people = populate(data, None, people=5000, sessions=0, algorithm="ES256")
    logins = _logins(people.emails)

    def cycle(number: int) -> _Cycle:
        # A server of its own each time: memory that was once taken is not always given back.
        with limen_serves(data, ES256 | TRUSTING) as (url, pid):
            base = resident(pid)
            before = asyncio.run(_one_at_a_time(url, logins))
            capacity = ask(url, sign_in(people.emails, CLIENTS), bench.pace.seconds * 2).rate
            asyncio.run(_one_at_a_time(url, logins))
            with _Memory(pid) as memory:
                rng = Random(SEED + number)  # noqa: S311  repeatable
                answers = asyncio.run(_flood(url, logins, TIMES * capacity, seconds, rng))
            time.sleep(AFTER)
            after = asyncio.run(_one_at_a_time(url, logins))
        return _judged(
            answers,
            seconds,
            capacity=capacity,
            peak=memory.peak - base,
            before=before,
            after=after,
        )

    cycles = repeated(bench.pace, bench.noise, cycle)
    room = THREADS * COST.memory_kib / 1024
    more = cycles.figure(lambda each: each.peak - room - each.waiting * PLACE_MIB)
    percent = cycles.figure(lambda each: each.refused * 100)
    return Result(
        findings=[
            Finding(
                "logins a second at 10 × capacity",
                cycles.figure(lambda each: each.goodput / each.capacity),
                "×", Target(least=0.95), "capacity",
            ),
            Finding(
                "refusals, p99",
                cycles.figure(lambda each: each.refused_p99 * 1000),
                "ms", Target(most=20),
            ),
            Finding(
                "memory over base + threads × 19 MiB + 0.1 MiB for each who waits",
                more, "MiB", Target(most=0),
            ),
            Finding(
                "a login's latency, one second after",
                cycles.figure(lambda each: each.after / each.before),
                "×", Target(most=1.5), "before",
            ),
        ],
        arms={
            "capacity": cycles.figure(lambda each: each.capacity),
            "served at 10 × capacity": cycles.figure(lambda each: each.goodput),
        },
        unit="logins/s",
        notes=[f"{percent.median:.0f} % of the logins were refused"],
        dropped=cycles.dropped,
        disturbed=cycles.disturbed,
    )  # fmt: skip


def _judged(
    answers: list[Answer],
    seconds: float,
    *,
    capacity: float,
    peak: float,
    before: float,
    after: float,
) -> _Cycle:
    good = [one for one in answers if one.status == OK]
    refused = [one for one in answers if one.status == BUSY]
    if odd := {one.status for one in answers} - {OK, BUSY, 0}:
        raise WrongAnswerError(f"logins were answered {odd}")
    return _Cycle(
        capacity=capacity,
        goodput=len(good) / seconds,
        refused_p99=percentile([one.latency for one in refused], 0.99),
        refused=len(refused) / len(answers),
        peak=peak,
        waiting=round(max(one.latency for one in good) * capacity),
        before=before,
        after=after,
    )


async def _flood(
    url: str, logins: Iterator[bytes], rate: float, seconds: float, rng: Random
) -> list[Answer]:
    async with Client(url).open() as client:
        return await client.scheduled(logins, rate, seconds, rng, hang_up=True)


async def _one_at_a_time(url: str, logins: Iterator[bytes]) -> float:
    """Return the median latency of some logins, one after another; the first may still wait."""
    async with Client(url).open() as client:
        answers = [await client.ask(next(logins)) for _ in range(PROBES)]
    return percentile([one.latency for one in answers], 0.5)


def _logins(emails: Sequence[str]) -> Iterator[bytes]:
    for number, email in enumerate(itertools.cycle(emails)):
        place = f"10.{number // 62500 % 250}.{number // 250 % 250}.{number % 250}"
        body = f'{{"email":"{email}","password":"{PASSWORD}"}}'
        yield request("POST", f"{AUTH}/login", JSON | {"X-Forwarded-For": place}, body)


class _Memory:
    """Looks at a process's memory while the block runs; `peak` in MiB."""

    def __init__(self, pid: int) -> None:
        self.peak = 0.0
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(SAMPLES):
            self.peak = max(self.peak, resident(self._pid))
