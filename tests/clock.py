"""A clock that a test moves."""

import time

from limen.clock import SECOND


class ManualClock:
    """Starts at the present and then stands still until it is moved."""

    def __init__(self) -> None:
        self.now = time.time_ns() // 1000

    def __call__(self) -> int:
        return self.now

    def tick(self, seconds: float) -> None:
        """Move by so many seconds, which may be negative."""
        self.now += round(seconds * SECOND)
