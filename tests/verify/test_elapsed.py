"""Time goes by while a machine is suspended, which `time.monotonic` would not tell."""

import time

import pytest

from limen.verify.elapsed import elapsed


def test_time_asleep_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = elapsed()
    awake = time.clock_gettime
    monkeypatch.setattr(
        time, "clock_gettime", lambda clock: awake(clock) + 60 * (clock == time.CLOCK_BOOTTIME)
    )

    assert elapsed() >= before + 60


def test_it_never_goes_back() -> None:
    moments = [elapsed() for _ in range(1000)]

    assert moments == sorted(moments)
