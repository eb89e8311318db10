"""For whoever runs limen: alive, ready, and what has been counted.

`/healthz` says that the process answers, and asks nobody. `/readyz` says that it can do its work:
a check a line. They are the standalone service's; an application that mounts limen has its own.
"""

import asyncio

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from limen.api.bodies import ReadyReply
from limen.api.problems import not_ready
from limen.api.wiring import Wiring, refusals
from limen.telemetry.metrics import Metrics
from limen.verify.fastapi import problem_response


def add_to(router: APIRouter, limen: Wiring, metrics: Metrics | None) -> None:
    @router.get("/healthz", responses=refusals())
    async def healthz() -> dict[str, str]:
        """Is the process alive?"""
        return {"status": "ok"}

    @router.get("/readyz", response_model=ReadyReply, responses=refusals(503))
    async def readyz() -> ReadyReply | Response:
        """Can it do its work?"""
        checks = await limen.features.readiness()
        if all(answer == "ok" for answer in checks.values()):
            return ReadyReply(checks=checks)
        return problem_response(not_ready(checks))

    if metrics is not None:
        reading = asyncio.Lock()  # however many ask, they keep one thread busy

        @router.get(
            "/metrics", name="metrics", response_class=PlainTextResponse, responses=refusals()
        )
        async def show_metrics() -> Response:
            """What has been counted, for Prometheus."""
            async with reading:
                body, media_type = await asyncio.to_thread(metrics.render)
            return Response(body, media_type=media_type)
