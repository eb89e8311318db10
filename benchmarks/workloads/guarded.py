"""A guarded request with a token that was seen before, against the same request unguarded.

The server has a core to itself. Every arm is sent the same headers, so that reading a long one
costs all of them the same.
"""

from contextlib import ExitStack

from benchmarks.asking import RS256, guarded
from benchmarks.bench import Bench, Result
from benchmarks.figures import Finding, Target, interleaved, ratio
from benchmarks.load import Asking, ask
from benchmarks.peers_running import django, entered, fastapi_users, tokens_of, tutorial
from benchmarks.population import populate
from benchmarks.processes import CLIENTS, SERVERS, application, limen_serves, on

SESSIONS = 100

APPS = {
    "plain ASGI, unguarded": "apps.plain:unguarded",
    "plain ASGI, limen": "apps.plain:guarded",
    "FastAPI, unguarded": "apps.routes:unguarded",
    "FastAPI, limen": "apps.routes:guarded",
}


def run(bench: Bench) -> Result:
    data = bench.data()
    people = populate(data, None, people=SESSIONS, sessions=SESSIONS)
    askings, notes = dict[str, tuple[str, Asking]](), list[str]()
    with ExitStack() as stack:
        issuer = stack.enter_context(limen_serves(data, RS256, cores=CLIENTS))
        following = {"BENCH_ISSUER": issuer.url}
        for name, app in APPS.items():
            url = stack.enter_context(application(app, following, cores=SERVERS)).url
            askings[name] = (url, guarded("/orders", people.access_tokens, text='{"orders'))
        if bench.peers.python:
            askings |= _peers(bench, stack, notes)
        arms = {
            name: lambda seconds, url=url, asking=asking: ask(url, asking, seconds).rate
            for name, (url, asking) in askings.items()
        }
        with on(CLIENTS):
            rates = interleaved(
                bench.pace, bench.noise, arms, [name for name in arms if name not in APPS]
            )
    result = Result.of(rates, "requests/s")
    result.notes += notes
    at_least = Target(least=0.95)
    for kind in ("plain ASGI", "FastAPI"):
        share = ratio(rates, f"{kind}, limen", f"{kind}, unguarded")
        what = f"guarded request, {kind}, warm token"
        result.findings.append(Finding(what, share, "×", at_least, "the same unguarded"))
    for peer in [name for name in result.arms if name not in APPS]:
        times = ratio(rates, "FastAPI, limen", peer)
        target = Target(least=1.7) if "tutorial" in peer else None
        finding = Finding("guarded request, FastAPI, warm token", times, "×", target, peer)
        result.findings.append(finding)
    return result


def _peers(bench: Bench, stack: ExitStack, notes: list[str]) -> dict[str, tuple[str, Asking]]:
    peers = {
        "FastAPI tutorial": tutorial(bench, cores=SERVERS),
        "fastapi-users": fastapi_users(bench, cores=SERVERS),
        "simplejwt": django(bench, "sqlite", cores=SERVERS),
    }
    askings = {}
    for name, serving in peers.items():
        if url := entered(stack, name, serving, notes):
            tokens = tokens_of(name, url, people=4)["access"]
            askings[f"{name}'s own"] = (url, guarded("/orders", tokens, text='{"orders of'))
    return askings
