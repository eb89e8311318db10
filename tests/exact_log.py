"""What a limit is meant to be, in the plainest words: the oracle of the randomised tests."""

from limen.clock import SECOND


class ExactLog:
    """Remembers the moment of every attempt that counts; admits while fewer than `quota` do."""

    def __init__(self, quota: int, window: int) -> None:
        self._quota = quota
        self._window = window * SECOND
        self._moments: list[int] = []

    def admits(self, now: int) -> bool:
        counting = [moment for moment in self._moments if moment > now - self._window]
        return len(counting) < self._quota

    def count(self, now: int) -> None:
        self._moments.append(now)
