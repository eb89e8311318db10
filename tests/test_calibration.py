"""Calibration, on machines that are made up: what a hash takes there is a formula."""

from collections.abc import Callable

import pytest

from limen.calibration import DEFAULT, Measure, Wish, measured, propose
from limen.option_kinds import COST, Argon2Cost

LEAST = Argon2Cost(memory_kib=7 * 1024, passes=5, lanes=1)


def machine(seconds: float) -> Measure:
    """Return one on which the default hash takes so long, alone and beside others."""

    def measure(cost: Argon2Cost, _threads: int) -> float:
        return seconds * cost.memory_kib * cost.passes / (DEFAULT.memory_kib * DEFAULT.passes)

    return measure


def test_memory_comes_before_passes() -> None:
    """256 MiB do not fit into the time even with two passes; 128 MiB fit with three."""
    found = propose(Wish(0.3, 1, 4096), 2, machine(0.030))

    assert found.cost == Argon2Cost(memory_kib=128 * 1024, passes=2, lanes=1)
    assert found.fits


@pytest.mark.parametrize(
    ("wish", "holds"),
    [
        (Wish(0.1, 1, 4096), lambda found: found.seconds <= 0.1),
        (Wish(1.0, 40, 4096), lambda found: found.rate >= 40),
        (Wish(1.0, 1, 64), lambda found: found.memory_mib <= 64),
    ],
    ids=["time", "rate", "memory"],
)
def test_every_wish_is_kept(wish: Wish, holds: Callable[[object], bool]) -> None:
    found = propose(wish, 4, machine(0.030))

    assert holds(found)
    assert found.fits


def test_a_machine_that_is_too_slow_gets_the_least_and_is_told() -> None:
    found = propose(Wish(0.010, 1, 512), 1, machine(0.5))

    assert found.cost == LEAST
    assert not found.fits


def test_nothing_is_proposed_that_the_settings_refuse() -> None:
    for milliseconds in (5, 20, 50, 100, 300, 1000, 5000):
        for memory in (7, 20, 64, 512, 4096):
            cost = propose(Wish(milliseconds / 1000, 1, memory), 2, machine(0.030)).cost
            assert COST.parse(str(cost)) == cost


def test_what_was_foretold_too_low_is_corrected_by_measuring_it() -> None:
    """On this machine, whatever does not fit into its cache is three times as slow."""
    simple = machine(0.030)

    def measure(cost: Argon2Cost, threads: int) -> float:
        return simple(cost, threads) * (3 if cost.memory_kib > 32 * 1024 else 1)

    found = propose(Wish(0.1, 1, 4096), 2, measure)

    assert found.seconds <= 0.1 * 1.1
    assert found.fits


def test_a_thief_is_counted_in_guesses_and_bits() -> None:
    found = propose(Wish(0.1, 1, 64), 1, lambda _cost, _threads: 0.1)

    assert found.attack.guesses == pytest.approx(10)
    # Ten a second on a thousand cores for a year are 2 ** 38.2; half of all are needed.
    assert found.attack.bits == pytest.approx(39.2, abs=0.05)


def test_a_real_machine_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limen.calibration.MEASURE_SECONDS", 0.0)

    assert measured(Argon2Cost(memory_kib=1024, passes=1, lanes=1), 2) > 0
