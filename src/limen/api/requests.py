"""How a request of limen's own routes is read, and how whatever goes wrong is answered.

The body is read whole before anything looks at it: at most 16 KiB, within ten seconds. JSON is
strict (`limen.verify.strict_json`). Every refusal, ours or the framework's, becomes a problem
document that repeats nothing of what was sent; FastAPI's own would return a mistyped member with
the password in it. All this happens in the route, so that it holds wherever the routes are
mounted, whatever handlers the surrounding application has.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from limen.api.problems import as_oauth, problem_for, problem_for_status
from limen.errors import BodyTooLarge, BodyTooSlow, InvalidRequest, LimenError
from limen.origin import Origin, coming_from
from limen.verify.fastapi import Refused, problem_response
from limen.verify.problems import Problem
from limen.verify.strict_json import StrictJSONError, loads

Handler = TypeVar("Handler", bound=Callable[..., Any])

MAX_BODY = 16 * 1024
BODY_SECONDS = 10

_FIRST = "asked_first"


def asked_first(question: Callable[[], None]) -> Callable[[Handler], Handler]:
    """Have the route ask this before all else; a LimenError that it raises is the answer.

    In a flood, what is refused must cost next to nothing: most of a request's cost is reading it.
    """

    def keep(handler: Handler) -> Handler:
        setattr(handler, _FIRST, question)
        return handler

    return keep


class StrictRequest(Request):
    """A request whose body was read within bounds, and whose JSON has one reading only."""

    async def json(self) -> Any:
        """Return the body; FastAPI answers a JSONDecodeError like any other invalid body."""
        body = await self.body()
        try:
            return loads(body)
        except StrictJSONError as error:
            raise json.JSONDecodeError(str(error), "", 0) from None

    async def read(self) -> None:
        """Read the body.

        Raises:
            BodyTooLarge: It is, or says that it is, over 16 KiB.
            BodyTooSlow: It has not arrived in time.
        """
        declared = self.headers.get("content-length", "0")
        if not declared.isascii() or not declared.isdigit() or int(declared[:9]) > MAX_BODY:
            raise BodyTooLarge
        parts, size = [], 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for part in self.stream():
                    size += len(part)
                    if size > MAX_BODY:
                        raise BodyTooLarge
                    parts.append(part)
        except TimeoutError:
            raise BodyTooSlow from None
        self._body = b"".join(parts)  # where Starlette keeps a body that was read


class LimenRoute(APIRoute):
    """A route of limen's own; `speaks_oauth` if an OAuth RFC says how its refusals look.

    `methods_here` are those of its path, which other routes may share. `origin_of` tells where a
    request comes from, for whatever it changes. What the handler has `asked_first` may refuse a
    request before any of it is looked at.
    """

    speaks_oauth = False
    methods_here: set[str]
    origin_of: Callable[[Request], Origin]

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; a method that the path has not is told which it has (RFC 9110, 15.5.6)."""
        if scope["method"] not in self.methods_here:
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(self.methods_here))})
        try:
            getattr(self.endpoint, _FIRST, _nothing)()
        except LimenError as refusal:
            await problem_response(problem_for(refusal))(scope, receive, send)
        else:
            await super().handle(scope, receive, send)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            strict = StrictRequest(request.scope, request.receive)
            try:
                await strict.read()
                with coming_from(type(self).origin_of(strict)):
                    response = await handle(strict)
            except _REFUSALS as refusal:
                problem = _problem(refusal)
                return problem_response(as_oauth(problem) if self.speaks_oauth else problem)
            response.headers.setdefault("Cache-Control", "no-store")
            return response

        return answer


def _nothing() -> None:
    """Ask nothing."""


_REFUSALS = (
    LimenError,
    HTTPException,  # Starlette's, FastAPI's and the guard's
    RequestValidationError,
    json.JSONDecodeError,
    ClientDisconnect,
)


def _problem(refusal: Exception) -> Problem:
    match refusal:
        case LimenError():
            return problem_for(refusal)
        case Refused():
            return problem_for(refusal.error)
        case RequestValidationError():
            return problem_for(explained(refusal.errors()))
        case json.JSONDecodeError():
            return problem_for(_not_json(refusal.msg))
        case HTTPException():
            return problem_for_status(refusal.status_code)
        case _:
            return problem_for_status(400)  # the client is gone: nobody reads it


# What pydantic found, in words for a person.
_RULES = {
    "string_type": "it must be a string",
    "string_too_long": "it may have at most {max_length} characters",
    "string_too_short": "it must have at least {min_length} characters",
    "string_unicode": "it holds characters that no text has",
    "string_pattern_mismatch": "it holds characters that no text has",
    "int_parsing": "it must be a whole number",
    "int_parsing_size": "it must be a whole number",
    "int_from_float": "it must be a whole number",
    "greater_than_equal": "it must be {ge} or more",
    "less_than_equal": "it must be {le} or less",
}
_ANY_RULE = "it has not the form that the documentation shows"


def explained(mistakes: Sequence[Any]) -> InvalidRequest:
    """Put the first mistake of a validation into words, without what was sent."""
    first = mistakes[0]
    place = first["loc"][0]
    name = first["loc"][1] if len(first["loc"]) > 1 else None
    match first["type"]:
        case "json_invalid":
            return _not_json(first["ctx"]["error"])
        case "extra_forbidden":
            what = "parameter" if place == "query" else "member"
            return InvalidRequest(f"The {place} has a {what} that is not known here.")
        case "missing" if isinstance(name, str):
            return InvalidRequest(f"'{name}' is missing from the {place}.", field=name)
        case _ if isinstance(name, str):
            return InvalidRequest(
                f"'{name}' in the {place} is not acceptable: {_rule(first)}.", field=name
            )
        case _:
            return InvalidRequest(
                "Send a JSON object in the body, with Content-Type: application/json."
            )


def _not_json(fault: str) -> InvalidRequest:
    return InvalidRequest(f"The body is not JSON with one reading only: {fault}")


def _rule(mistake: Any) -> str:
    return _RULES.get(mistake["type"], _ANY_RULE).format(**mistake.get("ctx", {}))
