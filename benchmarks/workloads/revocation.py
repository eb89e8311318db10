"""A session is ended here, and refused there: how long that takes, and that nobody is asked.

Two processes of `limen serve` on one PostgreSQL, and a service elsewhere that follows one of them
over HTTP. Somebody signs out at the first; from then on the other two are asked again and again
until they refuse the access token.
"""

import asyncio
import time
from contextlib import ExitStack

from benchmarks.asking import AUTH, ES256, on_database
from benchmarks.bench import Bench, Result
from benchmarks.client import Client, request
from benchmarks.figures import Figure, Finding, Target, WrongAnswerError
from benchmarks.population import populate
from benchmarks.processes import application, limen_serves

ENDINGS = 15  # for each cycle
PAUSE = 0.002  # between two questions: what the figure is exact to
PATIENCE = 15.0
ENDED, LET_IN, REFUSED = 204, 200, 401


def run(bench: Bench) -> Result:
    url, data = bench.postgresql(), bench.data()
    endings = ENDINGS * bench.pace.cycles
    people = populate(data, url, people=10, sessions=endings, algorithm="ES256")
    settings = ES256 | on_database(url)
    with ExitStack() as stack:
        here = stack.enter_context(limen_serves(data, settings)).url
        mounted = settings | {"LIMEN_DATA_DIR": str(data)}
        there = stack.enter_context(application("apps.mounted:app", mounted)).url
        following = {"BENCH_ISSUER": here}
        elsewhere = stack.enter_context(application("apps.plain:guarded", following)).url
        took = asyncio.run(_end_all(here, (there, elsewhere), people.access_tokens))
    result = Result(unit="ms")
    places = {"another limen": Target(most=50), "a service elsewhere": None}
    for (place, median), seconds in zip(places.items(), took, strict=True):
        figure = Figure.of([each * 1000 for each in seconds])
        worst = Figure(figure.high, figure.low, figure.high)
        what = f"ended here, refused by {place}"
        result.arms[f"refused by {place}"] = figure
        result.findings.append(Finding(f"{what}, median", figure, "ms", median))
        result.findings.append(Finding(f"{what}, worst", worst, "ms", Target(most=2000)))
    return result


async def _end_all(
    here: str, others: tuple[str, str], tokens: list[str]
) -> tuple[list[float], list[float]]:
    took: tuple[list[float], list[float]] = ([], [])
    async with Client(here).open() as client:
        for token in tokens:
            bearer = {"Authorization": f"Bearer {token}"}
            for other in others:
                if await _ask(other, bearer) != LET_IN:
                    raise WrongAnswerError("a good token was refused")
            ended = await client.ask(request("POST", f"{AUTH}/logout", bearer, ""))
            if ended.status != ENDED:
                raise WrongAnswerError(f"a logout was answered {ended.status}")
            since = time.perf_counter()
            waits = [_until_refused(other, bearer, since) for other in others]
            for place, seconds in zip(took, await asyncio.gather(*waits), strict=True):
                place.append(seconds)
    return took


async def _until_refused(url: str, bearer: dict[str, str], since: float) -> float:
    async with Client(url).open() as client, asyncio.timeout(PATIENCE):
        while (await client.ask(request("GET", "/orders", bearer))).status != REFUSED:  # noqa: ASYNC110
            await asyncio.sleep(PAUSE)
        return time.perf_counter() - since


async def _ask(url: str, bearer: dict[str, str]) -> int:
    async with Client(url).open() as client:
        return (await client.ask(request("GET", "/orders", bearer))).status
