"""A guarded request with a token that was seen before, against the same request unguarded.

The server has a core to itself. limen's arms and those unguarded are sent the same headers, so that
reading a long one costs all of them the same. A peer is sent what it gave at a sign-in: a shorter
token in the same header, and Better Auth its cookie.
"""

from contextlib import ExitStack

from benchmarks.asking import RS256, guarded
from benchmarks.bench import Bench, Result
from benchmarks.figures import Finding, Target, at_best, interleaved, ratio
from benchmarks.load import Asking, ask
from benchmarks.peers_running import PEERS, noted, signed_in
from benchmarks.population import addresses, populate
from benchmarks.processes import CLIENTS, SERVERS, application, limen_serves, on

SESSIONS = 100
EMAILS = addresses(4)  # who sign in at a peer

APPS = {
    "plain ASGI, unguarded": "apps.plain:unguarded",
    "plain ASGI, limen": "apps.plain:guarded",
    "FastAPI, unguarded": "apps.routes:unguarded",
    "FastAPI, limen": "apps.routes:guarded",
}
LEAST = {
    "plain ASGI, the least": "apps.plain:remembering",
    "FastAPI, the least": "apps.routes:remembering",
}


def run(bench: Bench) -> Result:
    data = bench.data()
    people = populate(data, None, people=SESSIONS, sessions=SESSIONS)
    askings, notes = dict[str, tuple[str, Asking]](), list[str]()
    with ExitStack() as stack:
        issuer = stack.enter_context(limen_serves(data, RS256, cores=CLIENTS))
        following = {"BENCH_ISSUER": issuer.url}
        for name, app in (APPS if bench.pace.quick else APPS | LEAST).items():
            url = stack.enter_context(application(app, following, cores=SERVERS)).url
            askings[name] = (url, guarded("/orders", people.access_tokens, text='{"orders'))
        askings |= _peers(bench, stack, notes)
        arms = {
            name: lambda seconds, url=url, asking=asking: ask(url, asking, seconds).rate
            for name, (url, asking) in askings.items()
        }
        with on(CLIENTS):
            rates = interleaved(
                bench.pace, bench.noise, arms, [name for name in arms if name not in APPS | LEAST]
            )
    result = Result.of(rates, "requests/s")
    result.notes += notes
    at_least = Target(least=0.95)
    for kind in ("plain ASGI", "FastAPI"):
        share = ratio(rates, f"{kind}, limen", f"{kind}, unguarded")
        what = f"guarded request, {kind}, warm token"
        least = at_best(rates, f"{kind}, the least", f"{kind}, unguarded")
        against = "the same unguarded"
        result.findings.append(Finding(what, share, "×", at_least, against, least))
    for peer in [name for name in result.arms if name not in APPS | LEAST]:
        times = ratio(rates, "FastAPI, limen", peer)
        target = Target(least=1.7) if "tutorial" in peer else None
        least = at_best(rates, "FastAPI, the least", peer) if target else None
        what = "guarded request, FastAPI, warm token"
        finding = Finding(what, times, "×", target, peer, least)
        result.findings.append(finding)
    return result


def _peers(bench: Bench, stack: ExitStack, notes: list[str]) -> dict[str, tuple[str, Asking]]:
    askings = dict[str, tuple[str, Asking]]()
    for peer in PEERS[:1] if bench.pace.quick else PEERS:  # the first has a target
        with noted(peer.name, notes):
            url = stack.enter_context(peer.serve(bench, cores=SERVERS))
            given = signed_in(url, peer.sign_in(EMAILS, 1), peer.pattern)
            asking = guarded("/orders", given, sent=peer.sent, text='{"orders of')
            askings[f"{peer.name}'s own"] = (url, asking)
    return askings
