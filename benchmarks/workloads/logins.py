"""Logins a second: 64 clients, distinct accounts, against the bare hash on as many threads."""

from collections.abc import Callable
from contextlib import ExitStack

from benchmarks.asking import PATIENT, RS256, TRUSTING, on_database, sign_in
from benchmarks.bench import Bench, Result
from benchmarks.figures import Finding, Target, interleaved, ratio
from benchmarks.hashing import HASH_LOOP, hash_loop
from benchmarks.load import Asking, ask
from benchmarks.noise import wait_until_idle
from benchmarks.peers_running import PEERS, noted
from benchmarks.population import populate
from benchmarks.processes import limen_serves, the_least

CLIENTS = 64
PEOPLE = 1000
EMAILS = [f"person{n}@example.com" for n in range(PEOPLE)]

Arm = Callable[[float], float]


def run(bench: Bench) -> Result:
    arms: dict[str, Arm] = {HASH_LOOP: hash_loop}
    notes = list[str]()
    with ExitStack() as stack:
        for name, url in (("SQLite", None), ("PostgreSQL", bench.postgresql())):
            data = bench.data()
            people = populate(data, url, people=PEOPLE, sessions=0)
            served = stack.enter_context(
                limen_serves(data, RS256 | TRUSTING | PATIENT | on_database(url))
            ).url
            arms[f"limen, {name}"] = _arm(served, sign_in(people.emails, CLIENTS))
            database = data.parent / "least.db" if url is None else bench.postgresql()
            least = stack.enter_context(the_least(database, "RS256")).url
            arms[f"the least, {name}"] = _arm(least, sign_in(EMAILS, CLIENTS))
        arms |= _peers(bench, stack, "equal", notes)
        if not bench.pace.quick:
            arms |= _peers(bench, stack, "own", notes)
        rates = interleaved(
            bench.pace, bench.noise, arms, [name for name in arms if name.endswith(" hash")]
        )
    result = Result.of(rates, "logins/s")
    result.notes += notes
    for name in ("SQLite", "PostgreSQL"):
        share = ratio(rates, f"limen, {name}", HASH_LOOP)
        what = f"logins a second, 64 clients, {name}"
        at_best = ratio(rates, f"the least, {name}", HASH_LOOP)
        target = Target(least=0.93)
        result.findings.append(Finding(what, share, "×", target, HASH_LOOP, at_best))
    for peer in [name for name in result.arms if name.endswith("equal hash")]:
        times = ratio(rates, "limen, SQLite", peer)
        result.findings.append(Finding("logins a second", times, "×", None, peer))
    return result


def _peers(bench: Bench, stack: ExitStack, hashing: str, notes: list[str]) -> dict[str, Arm]:
    arms = dict[str, Arm]()
    for peer in PEERS:
        name = f"{peer.name}, {hashing} hash"
        with noted(name, notes):
            url = stack.enter_context(peer.serve(bench, hashing=hashing))
            arms[name] = _arm(url, peer.sign_in(EMAILS, CLIENTS))
    return arms


def _arm(url: str, asking: Asking) -> Arm:
    def arm(seconds: float) -> float:
        rate = ask(url, asking, seconds).rate
        wait_until_idle()  # what was asked for last would be hashed beside the next arm
        return rate

    return arm
