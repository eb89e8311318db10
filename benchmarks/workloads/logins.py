"""Logins a second: 64 clients, distinct accounts, against the bare hash on as many threads."""

from collections.abc import Callable
from contextlib import ExitStack

from benchmarks.asking import PATIENT, RS256, TRUSTING, on_database, sign_in
from benchmarks.bench import Bench, Result
from benchmarks.figures import Finding, Target, at_best, interleaved, ratio
from benchmarks.hashing import HASH_LOOP, hash_loop
from benchmarks.load import Asking, ask
from benchmarks.noise import wait_until_idle
from benchmarks.peers_running import PEERS, noted, the_least
from benchmarks.population import addresses, populate
from benchmarks.processes import Running, limen_serves
from benchmarks.profile import Profile

CLIENTS = 64
PEOPLE = 1000
DATABASES = ("SQLite", "PostgreSQL")
EMAILS = addresses(PEOPLE)

Arm = Callable[[float], float]


def run(bench: Bench) -> Result:
    arms: dict[str, Arm] = {HASH_LOOP: hash_loop}
    notes = list[str]()
    with ExitStack() as stack:
        ours = {name: _Profiled(*served) for name, served in _ours(bench, stack).items()}
        arms |= ours
        if not bench.pace.quick:
            arms |= _peers(bench, stack, "equal", notes) | _peers(bench, stack, "own", notes)
        rates = interleaved(
            bench.pace, bench.noise, arms, [name for name in arms if name.endswith(" hash")]
        )
    result = Result.of(rates, "logins/s")
    result.notes += [*notes, *(arm.profile.note(f"{name}: a login") for name, arm in ours.items())]
    for name in DATABASES:
        share = ratio(rates, f"limen, {name}", HASH_LOOP)
        what = f"logins a second, 64 clients, {name}"
        least = at_best(rates, f"the least, {name}", HASH_LOOP)
        target = Target(least=0.93)
        result.findings.append(Finding(what, share, "×", target, HASH_LOOP, least))
    for peer in [name for name in result.arms if name.endswith("equal hash")]:
        times = ratio(rates, "limen, SQLite", peer)
        result.findings.append(Finding("logins a second", times, "×", None, peer))
    return result


def _ours(bench: Bench, stack: ExitStack) -> dict[str, tuple[Running, Asking]]:
    """Serve limen, and in a full run the least; say how each is signed in at."""
    served = dict[str, tuple[Running, Asking]]()
    for name in DATABASES:
        url = bench.postgresql() if name == "PostgreSQL" else None
        data = bench.data()
        people = populate(data, url, people=PEOPLE, sessions=0)
        settings = RS256 | TRUSTING | PATIENT | on_database(url)
        limen = stack.enter_context(limen_serves(data, settings))
        served[f"limen, {name}"] = (limen, sign_in(people.emails, CLIENTS))
        if not bench.pace.quick:
            least = stack.enter_context(the_least(bench, name, "RS256"))
            served[f"the least, {name}"] = (least, sign_in(EMAILS, CLIENTS))
    return served


def _peers(bench: Bench, stack: ExitStack, hashing: str, notes: list[str]) -> dict[str, Arm]:
    arms = dict[str, Arm]()
    for peer in PEERS:
        name = f"{peer.name}, {hashing} hash"
        with noted(name, notes):
            url = stack.enter_context(peer.serve(bench, hashing=hashing))
            arms[name] = _arm(url, peer.sign_in(EMAILS, CLIENTS))
    return arms


class _Profiled:
    """Asks a server of ours, and watches where its time goes meanwhile."""

    def __init__(self, running: Running, asking: Asking) -> None:
        self.profile = Profile(running.pid)
        self._url = running.url
        self._asking = asking

    def __call__(self, seconds: float) -> float:
        served = self.profile.of(lambda: ask(self._url, self._asking, seconds))
        wait_until_idle()  # what was asked for last would be hashed beside the next arm
        return served.rate


def _arm(url: str, asking: Asking) -> Arm:
    def arm(seconds: float) -> float:
        rate = ask(url, asking, seconds).rate
        wait_until_idle()
        return rate

    return arm
