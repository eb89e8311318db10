"""The standalone service: limen's routes, those for its operator, and nothing else.

What the routes do not answer themselves, an unknown path or method, becomes a problem document
here, and so does what nobody expected, which `limen.telemetry.requests` has logged. Paths are
taken as they are: a redirect to a path with another slash would be built from the Host header.
"""

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from limen import __version__
from limen.api.problems import problem_for_status
from limen.limen import Limen
from limen.telemetry.requests import RequestLog, internal_error
from limen.verify.fastapi import problem_response


def build(limen: Limen) -> ASGIApp:
    """Return the application that `limen serve` runs."""
    docs = limen.settings.docs
    app = FastAPI(
        title=limen.settings.service_name,
        version=__version__,
        openapi_url="/openapi.json" if docs else None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=limen.lifespan,
    )
    for router in (limen.router, limen.admin_router, limen.operations_router):
        app.router.routes.extend(router.routes)
    if docs:
        app.add_api_route("/", _to_docs, name="start", include_in_schema=False)
    app.add_exception_handler(HTTPException, _answer)
    app.add_exception_handler(Exception, _fail)
    return RequestLog(app, limen.metrics)


async def _to_docs() -> Response:
    return RedirectResponse("/docs")


async def _answer(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  registered for nothing else
    return problem_response(problem_for_status(error.status_code, dict(error.headers or {})))


async def _fail(request: Request, _error: Exception) -> Response:
    return problem_response(internal_error(request.scope["limen.request_id"]))
