"""Garbage and forged tokens at a guarded application, against the same application unguarded.

Garbage has no form; a forgery has the form, the key id and the claims of a good token, and another
signature. No database is behind the guard: what limen itself asks one, the test of costs counts.
"""

import secrets
from collections.abc import Sequence
from contextlib import ExitStack

from benchmarks.asking import RS256, guarded
from benchmarks.bench import Bench, Result
from benchmarks.figures import Finding, Target, at_best, interleaved, ratio
from benchmarks.load import ask
from benchmarks.population import populate
from benchmarks.processes import CLIENTS, SERVERS, application, limen_serves, on

TOKENS = 500


def run(bench: Bench) -> Result:
    data = bench.data()
    people = populate(data, None, people=10, sessions=TOKENS)
    bad = {
        "garbage": [secrets.token_urlsafe(400) for _ in range(TOKENS)],
        "forged": _forged(people.access_tokens),
    }
    with ExitStack() as stack:
        serving = limen_serves(data, RS256, cores=CLIENTS)
        following = {"BENCH_ISSUER": stack.enter_context(serving).url}
        urls = {
            name: stack.enter_context(
                application(f"apps.plain:{name}", following, cores=SERVERS)
            ).url
            for name in ("unguarded", "guarded", "verifying")
        }
        askings = {"unguarded": (urls["unguarded"], guarded("/orders", people.access_tokens))}
        if not bench.pace.quick:
            alone = guarded("/orders", people.access_tokens, status=401)
            askings["a signature alone"] = (urls["verifying"], alone)
        for name, tokens in bad.items():
            refused = guarded("/orders", tokens, status=401, text="invalid_token")
            askings[name] = (urls["guarded"], refused)
        arms = {
            name: lambda seconds, url=url, asking=asking: ask(url, asking, seconds).rate
            for name, (url, asking) in askings.items()
        }
        with on(CLIENTS):
            rates = interleaved(bench.pace, bench.noise, arms)
    result = Result.of(rates, "requests/s")
    for name in bad:
        share = ratio(rates, name, "unguarded")
        what = f"refusing {name} tokens, plain ASGI"
        target, against = Target(least=0.7), "letting all in"
        least = at_best(rates, "a signature alone", "unguarded") if name == "forged" else None
        result.findings.append(Finding(what, share, "×", target, against, least))
    return result


def _forged(tokens: Sequence[str]) -> list[str]:
    """Return the tokens, each with the signature of another."""
    parts = [token.rpartition(".") for token in tokens]
    return [
        f"{head}.{other}"
        for (head, _, _), (_, _, other) in zip(parts, parts[1:] + parts[:1], strict=True)
    ]
