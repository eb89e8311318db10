"""How much time has gone by, with that in which the machine was asleep.

On Linux `time.monotonic` stands still while a machine is suspended or a virtual one paused. What
was known before would look fresh when it wakes up, however much was revoked meanwhile.
"""

import time

# Linux alone has it.
_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def elapsed() -> float:
    """Return seconds since some moment in the past; only differences mean anything."""
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)
