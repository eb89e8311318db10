"""The bare limit of signing in: the hash itself, by the code that limen has for it.

Other code computes the same hash in another time, that of the peers in Python among it.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from argon2.low_level import Type, verify_secret

from benchmarks.noise import CORES
from benchmarks.population import COST, PASSWORD
from limen.stored_hashes import matches
from limen.stored_hashes.argon2 import argon2_hash

THREADS = CORES
HASH_LOOP = "bare hash loop"


def hash_loop(seconds: float) -> float:
    """Return how many passwords a second are checked by as many threads as limen has."""
    stored, began = argon2_hash(PASSWORD, COST), time.perf_counter()

    def check(_thread: int) -> int:
        done = 0
        while time.perf_counter() < began + seconds:
            done += matches(PASSWORD, stored)
        return done

    with ThreadPoolExecutor(THREADS) as pool:
        done = sum(pool.map(check, range(THREADS)))
    return done / (time.perf_counter() - began)


def by_argon2_cffi(password: str, stored: str) -> bool:
    return verify_secret(stored.encode(), password.encode(), Type.ID)


def hash_time(times: int, check: Callable[[str, str], bool] = matches) -> list[float]:
    """Return the seconds of single hashes, one at a time, in a thread as limen does it."""
    stored, took = argon2_hash(PASSWORD, COST), list[float]()

    def repeat() -> None:
        for _ in range(times):
            began = time.perf_counter()
            check(PASSWORD, stored)
            took.append(time.perf_counter() - began)

    thread = threading.Thread(target=repeat)
    thread.start()
    thread.join()
    return took
