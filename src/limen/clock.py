"""The time, as everything in limen reads it: whole microseconds since the Unix epoch.

Integers, because equal moments must compare equal in Python, SQLite and PostgreSQL. It is passed
in, never imported where it is used, so that a test can move it.
"""

import time
from collections.abc import Callable

Clock = Callable[[], int]

SECOND = 1_000_000


def system_clock() -> int:
    """Return the present in microseconds since the Unix epoch (UTC)."""
    return time.time_ns() // 1000
