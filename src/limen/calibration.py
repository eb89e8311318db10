"""Which cost of a password hash suits this machine: as much as a login may take, and no less.

A hash should cost whoever guesses as much as whoever signs in can bear. Memory is what hurts him
most, because the chips he would buy have many cores and little memory for each; so the memory is
chosen first, as big as there is time and room for, and then the passes over it.

    allowed      what was wished for a login; less, where so many a second must fit on the threads
    measured     with every thread hashing at once, since they share the way to memory
    foretold     a hash takes as long as it has kibibytes times passes; what was chosen is measured

Nothing here goes below the floors of LIMEN_PASSWORD_HASH, however slow the machine is.
"""

import math
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

from limen.option_kinds import ARGON2_CEILING, ARGON2_FLOORS, Argon2Cost
from limen.stored_hashes.argon2 import argon2_hash

DEFAULT = Argon2Cost(memory_kib=19456, passes=2, lanes=1)  # that of the settings; measured first

MEMORIES = tuple(1024 * mib for mib in (7, 9, 12, 19, 32, 46, 64, 96, 128, 192, 256))  # KiB
FEWEST_PASSES = 2  # where there is a choice: with one, part of the memory can be done without
TOLERANCE = 1.1  # of what is allowed: a second measurement is never the first
TRIES = 4
MEASURE_SECONDS = 1.0
MEASURE_FEWEST = 3  # hashes of each thread

YEAR = 365.25 * 86400
CORES_OF_A_THIEF = 1000

# Returns the seconds that one hash of this cost takes when so many threads hash at once.
Measure = Callable[[Argon2Cost, int], float]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a login may take (seconds), how many must be possible a second, and in how many MiB."""

    seconds: float
    rate: float
    memory_mib: int


class Attack(NamedTuple):
    """What somebody with the stolen hashes can do, on cores like these.

    `bits` is how many bits of chance a password needs to outlast a thousand cores for a year, on
    average; `guesses` are those of one core in a second.
    """

    guesses: float
    bits: float


@dataclass(frozen=True, slots=True)
class Proposal:
    """A cost, and what it takes: `seconds` for a hash when all threads are busy, `alone` else."""

    cost: Argon2Cost
    threads: int
    seconds: float
    alone: float
    fits: bool

    @property
    def rate(self) -> float:
        """How many logins a second the threads can hash."""
        return self.threads / self.seconds

    @property
    def memory_mib(self) -> float:
        """How much memory hashing takes when all threads are busy."""
        return self.threads * self.cost.memory_kib / 1024

    @property
    def attack(self) -> Attack:
        guesses = 1 / self.seconds
        # Half of all guesses are needed on average, which is one bit.
        return Attack(guesses, math.log2(guesses * YEAR * CORES_OF_A_THIEF) + 1)


def propose(wish: Wish, threads: int, measure: Measure) -> Proposal:
    """Return the strongest cost that the wish allows, or the weakest there is if none does."""
    allowed = min(wish.seconds, threads / wish.rate)
    unit = measure(DEFAULT, threads) / _work(DEFAULT)
    choices = list(_choices(wish.memory_mib * 1024 // threads))
    for _ in range(TRIES):
        fitting = [cost for cost in choices if unit * _work(cost) <= allowed]
        cost = fitting[0] if fitting else choices[-1]
        seconds = measure(cost, threads)
        if seconds <= allowed * TOLERANCE or not fitting:
            break
        unit = max(unit, seconds / _work(cost))
        choices = choices[choices.index(cost) + 1 :] or [cost]
    return Proposal(cost, threads, seconds, measure(cost, 1), fits=seconds <= allowed * TOLERANCE)


def measured(cost: Argon2Cost, threads: int) -> float:
    """Measure it on this machine; takes a second or so."""
    with ThreadPoolExecutor(threads) as pool:
        end = time.perf_counter() + MEASURE_SECONDS
        took = pool.map(lambda _: _until(end, cost), range(threads))
        return statistics.median([each for times in took for each in times])


def _until(end: float, cost: Argon2Cost) -> list[float]:
    took = list[float]()
    while len(took) < MEASURE_FEWEST or time.perf_counter() < end:
        began = time.perf_counter()
        argon2_hash("correct horse battery staple", cost)
        took.append(time.perf_counter() - began)
    return took


def _choices(room_kib: int) -> Iterator[Argon2Cost]:
    """Yield the costs from the strongest to the weakest; at least the least, whatever the room."""
    for memory in sorted(MEMORIES, reverse=True):
        fewest = min((passes for least, passes in ARGON2_FLOORS if memory >= least), default=0)
        if fewest and (memory <= room_kib or memory == MEMORIES[0]):
            for passes in range(ARGON2_CEILING.passes, max(fewest, FEWEST_PASSES) - 1, -1):
                yield Argon2Cost(memory, passes, lanes=1)


def _work(cost: Argon2Cost) -> int:
    return cost.memory_kib * cost.passes
