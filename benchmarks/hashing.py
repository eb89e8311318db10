"""The bare limit of signing in: the hash itself, and nothing around it."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from argon2.low_level import Type, verify_secret

from benchmarks.noise import CORES
from benchmarks.population import COST, PASSWORD
from limen.stored_hashes.argon2 import argon2_hash

THREADS = CORES
HASH_LOOP = "bare hash loop"


def hash_loop(seconds: float) -> float:
    """Return how many passwords a second are checked by as many threads as limen has."""
    stored, end = argon2_hash(PASSWORD, COST).encode(), time.perf_counter() + seconds
    began, password = time.perf_counter(), PASSWORD.encode()

    def check(_thread: int) -> int:
        done = 0
        while time.perf_counter() < end:
            done += verify_secret(stored, password, Type.ID)
        return done

    with ThreadPoolExecutor(THREADS) as pool:
        done = sum(pool.map(check, range(THREADS)))
    return done / (time.perf_counter() - began)


def hash_time(times: int) -> list[float]:
    """Return the seconds of single hashes, one at a time, in a thread as limen does it."""
    stored, took = argon2_hash(PASSWORD, COST).encode(), list[float]()

    def check() -> None:
        for _ in range(times):
            began = time.perf_counter()
            verify_secret(stored, PASSWORD.encode(), Type.ID)
            took.append(time.perf_counter() - began)

    thread = threading.Thread(target=check)
    thread.start()
    thread.join()
    return took
