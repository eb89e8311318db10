"""Refreshes a second, against a signature and the bare one-row update, equally durable.

The bound is a program that does nothing else, over as many connections: sign what a token holds,
run the very statement that decides a refresh, commit. The peer that rotates is measured beside.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from benchmarks.asking import ES256, JSON, RS256, on_database, refresh, sign_in, sign_in_by_json
from benchmarks.bench import Bench, Result
from benchmarks.bound import Bound
from benchmarks.figures import Finding, Target, at_best, interleaved, ratio
from benchmarks.load import Asking, ask
from benchmarks.peers_running import django, noted, signed_in, the_least
from benchmarks.population import addresses, populate
from benchmarks.processes import CLIENTS, SERVERS, limen_serves, on

CONNECTIONS = 16
EMAILS = addresses(1000)
SIGNING = {"RS256": RS256, "ES256": ES256}
DATABASES = ("SQLite", "PostgreSQL")
PEER = "simplejwt, PostgreSQL"
HANDED_OUT = '"refresh_token":"([^"]+)"'
ISSUED = '"refresh":"([^"]+)"'  # by the peer


def run(bench: Bench) -> Result:
    arms: dict[str, Callable[[float], float]] = {}
    turns, notes = 2 * bench.pace.cycles + 2, list[str]()
    algorithms = list(SIGNING)[:1] if bench.pace.quick else list(SIGNING)
    with ExitStack() as stack:
        for algorithm in algorithms:
            for name in DATABASES:
                url = bench.postgresql() if name == "PostgreSQL" else None
                data = bench.data()
                sessions = CONNECTIONS * (turns + 1)
                people = populate(data, url, people=100, sessions=sessions, algorithm=algorithm)
                settings = SIGNING[algorithm] | on_database(url)
                served = stack.enter_context(limen_serves(data, settings, cores=SERVERS))
                place = f"{name}, {algorithm}"
                own = people.tokens[:CONNECTIONS]
                arms[f"bound, {place}"] = Bound(data, url, algorithm, own)
                arms[f"limen, {place}"] = _Chains(served.url, people.refresh_tokens[CONNECTIONS:])
                if bench.pace.quick:
                    continue
                least = the_least(bench, name, algorithm, cores=SERVERS)
                running = stack.enter_context(least)
                asking = sign_in(EMAILS[: CONNECTIONS * turns], 1)
                tokens = signed_in(running.url, asking, HANDED_OUT)
                arms[f"the least, {place}"] = _Chains(running.url, tokens)
        with noted(PEER, notes):
            simplejwt = django(bench, database=bench.postgresql(), cores=SERVERS)
            peer = stack.enter_context(simplejwt)
            asking = sign_in_by_json("/token", EMAILS[: CONNECTIONS * turns], 1)
            tokens = signed_in(peer, asking, ISSUED)
            arms[PEER] = _Chains(peer, tokens, _simplejwt)
        with on(CLIENTS):
            rates = interleaved(bench.pace, bench.noise, arms, [PEER])
    result = Result.of(rates, "refreshes/s")
    result.notes += notes
    for algorithm in algorithms:
        for name in DATABASES:
            place = f"{name}, {algorithm}"
            share = ratio(rates, f"limen, {place}", f"bound, {place}")
            against = "signature + bare one-row update"
            best = at_best(rates, f"the least, {place}", f"bound, {place}")
            what, target = f"refresh, {place}", Target(least=0.5)
            result.findings.append(Finding(what, share, "×", target, against, best))
    if PEER in result.arms:
        times = ratio(rates, "limen, PostgreSQL, RS256", PEER)
        what = "refresh, PostgreSQL, RS256"
        result.findings.append(Finding(what, times, "×", Target(least=4), PEER))
    return result


class _Chains:
    """Sixteen sessions refreshed over and over; others each time, since a run cuts some off."""

    def __init__(
        self,
        url: str,
        tokens: Sequence[str],
        asking: Callable[[Sequence[str], int], Asking] = refresh,
    ) -> None:
        self._url = url
        self._tokens = list(tokens)
        self._asking = asking

    def __call__(self, seconds: float) -> float:
        taken, self._tokens = self._tokens[:CONNECTIONS], self._tokens[CONNECTIONS:]
        return ask(self._url, self._asking(taken, CONNECTIONS), seconds).rate


def _simplejwt(tokens: Sequence[str], connections: int) -> Asking:
    return Asking(
        "POST", "/token/refresh", JSON, '{"refresh":"{item}"}', tokens, "chain", connections,
        text='"refresh"', pattern=ISSUED,
    )  # fmt: skip
