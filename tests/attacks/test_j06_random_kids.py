"""J6: a flood of unknown kids (PyJWT CVE-2026-48524: each one fetched the key set anew)."""

import random
import time
import tracemalloc

from tests.attacks.outside import watched
from tests.tokens import reason, signer, verifier

FLOOD = 10_000


def test_ten_thousand_unknown_kids_are_look_ups_and_change_nothing() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    kids = random.Random(seed)
    ours, checker = signer("HS256"), verifier()
    good = ours.token()
    flood = [ours.token(ours.header(kid=kids.randbytes(16).hex())) for _ in range(FLOOD)]
    reason(checker, flood[0])

    tracemalloc.start()
    start = time.perf_counter()
    with watched() as acts:
        answers = {reason(checker, token) for token in flood}
    took = time.perf_counter() - start
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"{took / FLOOD * 1e6:.0f} us each under tracemalloc, {kept} bytes kept")

    assert answers == {"unknown_key"}
    assert acts == []
    assert kept < 100_000
    assert took / FLOOD < 0.001
    assert reason(checker, good) == "accepted"
