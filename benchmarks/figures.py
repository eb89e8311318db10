"""Figures: what was measured, with its spread, and what it was to be.

A figure is the median of its cycles, with the lowest and the highest. A ratio is taken within each
cycle, between neighbours in time, and only then the median: what drifts over minutes drifts in
both.
"""

import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from operator import truediv
from typing import Generic, TypeVar

from benchmarks.noise import Noise

T = TypeVar("T")


class WrongAnswerError(Exception):
    """A server answered, and not what it should."""


FEWEST = 2  # clean cycles; with fewer, all are kept, and the workload is marked as disturbed


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to measure: so many cycles, in each of which an arm has so many seconds."""

    cycles: int
    seconds: float
    quick: bool


@dataclass(frozen=True, slots=True)
class Figure:
    """The median of some values, with the lowest and the highest of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Figure":
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should be: at least, or at most."""

    least: float | None = None
    most: float | None = None

    def met_by(self, measured: float) -> bool:
        at_least = self.least is None or measured >= self.least
        return at_least and (self.most is None or measured <= self.most)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the result. `against` says what a ratio is a ratio to.

    `at_best` is the figure of a program of the same parts that does only what cannot be left out.
    """

    what: str
    figure: Figure
    unit: str
    target: Target | None = None
    against: str = ""
    at_best: Figure | None = None

    @property
    def met(self) -> bool | None:
        return None if self.target is None else self.target.met_by(self.figure.median)


@dataclass
class Repeated(Generic[T]):
    """The outcomes of the cycles that nothing disturbed, and why others were dropped."""

    kept: list[T] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    disturbed: bool = False
    failed: dict[str, str] = field(default_factory=dict)

    def figure(self, of: Callable[[T], float]) -> Figure:
        return Figure.of([of(one) for one in self.kept])


def repeated(pace: Pace, noise: Noise, cycle: Callable[[int], T]) -> Repeated[T]:
    """Run `cycle(number)` until so many were undisturbed, or half as many more were run."""
    result, all_ = Repeated[T](), list[T]()
    for number in range(pace.cycles + pace.cycles // 2):
        with noise.watch() as watched:
            all_.append(cycle(number))
        if watched.disturbance:
            result.dropped.append(watched.disturbance)
        else:
            result.kept.append(all_[-1])
        if len(result.kept) == pace.cycles:
            break
    if len(result.kept) < min(FEWEST, pace.cycles):
        result.kept, result.disturbed = all_, True
    noise.dropped += result.dropped
    return result


Arm = Callable[[float], float]
Rates = Repeated[dict[str, float]]


def interleaved(
    pace: Pace, noise: Noise, arms: Mapping[str, Arm], peers: Collection[str] = ()
) -> Rates:
    """Run the arms in turn, forth in one cycle and back in the next (A B B A).

    An arm is given seconds and returns a figure, such as a rate, of answers that it has checked.
    One of the `peers` that cannot is left out, and the reason is kept; any other ends it all.
    """
    failed = dict[str, str]()
    for name, run in arms.items():
        try:
            run(pace.seconds / 4)  # caches, pools and branch predictors are warm from here on
        except WrongAnswerError as error:
            if name not in peers:
                raise
            failed[name] = str(error)

    def cycle(number: int) -> dict[str, float]:
        names = [name for name in arms if name not in failed]
        found = {name: arms[name](pace.seconds) for name in names[:: -1 if number % 2 else 1]}
        return {name: found[name] for name in names}

    rates = repeated(pace, noise, cycle)
    rates.failed = failed
    return rates


def ratio(rates: Rates, arm: str, to: str) -> Figure:
    """Return how many times the one arm's figure the other's is, within each cycle."""
    return rates.figure(lambda cycle: cycle[arm] / cycle[to])


def at_best(
    rates: Rates, arm: str, to: str, by: Callable[[float, float], float] = truediv
) -> Figure | None:
    """Return how the least program compares, by ratio or difference; only a full run has it."""
    if arm not in rates.kept[0]:
        return None
    return rates.figure(lambda cycle: by(cycle[arm], cycle[to]))
