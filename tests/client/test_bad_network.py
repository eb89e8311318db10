"""The client's rules under a bad network, in virtual time. See tests/client/world.py.

`LIMEN_TEST_REFRESHES=1000000` makes it as many refreshes; `LIMEN_TEST_SEED` repeats a run.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Callable

from tests.client.world import DAY, LIFETIME, World, steal

REFRESHES = int(os.environ.get("LIMEN_TEST_REFRESHES", "100000"))
THEFTS = REFRESHES // 100
SEED = int(os.environ.get("LIMEN_TEST_SEED", str(random.randrange(2**32))))


def test_no_honest_client_is_signed_out(record_property: Callable[[str, object], None]) -> None:
    began = time.monotonic()
    world = World(SEED)
    for name in ("one", "two", "three", "four"):
        world.start(name)

    world.run(lambda: world.server.seen["rotate"] >= REFRESHES or bool(world.signed_out))

    figures = {**world.seen, **world.server.seen}
    print(
        f"seed {SEED}: {world.now / 86400:.0f} days in {time.monotonic() - began:.0f} s: {figures}"
    )
    record_property("fault", "bad network, refreshes")
    record_property("database", "simulated")
    record_property("times", world.server.seen["rotate"])
    record_property("signed_out", len(world.signed_out))
    assert world.signed_out == []
    assert world.server.seen["replay"] == world.server.seen["ended"] == 0
    # Everything that the world may do has happened, or the run has shown nothing.
    harms = ("request lost", "answer lost", "request doubled", "delayed", "killed", "503")
    assert all(world.seen[harm] for harm in (*harms, "clock set", "unavailable"))
    assert all(world.server.seen[outcome] for outcome in ("same_successor", "coalesce"))


def test_a_stolen_refresh_token_is_detected_every_time(
    record_property: Callable[[str, object], None],
) -> None:
    record_property("fault", "bad network, thefts of a store")
    record_property("database", "simulated")
    record_property("times", THEFTS)
    turns: Counter[int] = Counter()
    for seed in range(SEED, SEED + THEFTS):
        turns[rotations_until_detected(seed)] += 1

    after = dict(sorted(turns.items()))
    print(f"seed {SEED}: {THEFTS} thefts, each ended; rotations until then: {after}")


def rotations_until_detected(seed: int) -> int:
    """Let owner and thief go on until the session has ended, and both know it."""
    world = World(seed)
    world.start("owner")
    theft_at = world.random.uniform(0, 10 * LIFETIME)
    # While a refresh is on its way is the worst moment: its retry key lies in the store.
    waits_for_key = world.random.random() < 0.5
    world.run(lambda: world.now > theft_at)
    if waits_for_key:
        world.run(lambda: has_a_key(world))
    before, stolen_at = world.server.seen["rotate"], world.now
    world.start("thief", steal(world))

    world.run(lambda: world.server.row.ended or world.now > stolen_at + DAY)
    assert world.server.row.ended, f"not detected: seed {seed}"
    rotations = world.server.seen["rotate"] - before
    world.run(lambda: len(world.signed_out) == 2)
    assert world.store.load().tokens is None
    return rotations


def has_a_key(world: World) -> bool:
    tokens = world.store.load().tokens
    return tokens is not None and tokens.retry_key is not None
