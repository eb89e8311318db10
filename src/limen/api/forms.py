"""Forms (application/x-www-form-urlencoded) that have one reading only.

Bytes that are no UTF-8 could be any password, and of a field that occurs twice a proxy may have
judged the one and we take the other. Both are refused, and so is multipart.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from limen.api.bodies import Body
from limen.errors import InvalidRequest

T = TypeVar("T", bound=Body)

FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 16


def form_of(kind: type[T]) -> Callable[[Request], Awaitable[T]]:
    """Return the dependency that reads such a form, of a route that takes nothing else."""

    async def form(request: Request) -> T:
        if media_type(request) != FORM:
            raise InvalidRequest(f"Send a form ({FORM}).")
        return valid(kind, fields(await request.body()))

    return form


def documented_form(kind: type[Body]) -> dict[str, Any]:
    """Return the same for the OpenAPI document."""
    content = {FORM: {"schema": kind.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


def media_type(request: Request) -> str:
    """Return the media type of the body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def fields(body: bytes) -> dict[str, str]:
    """Return the fields of a form by their names.

    Raises:
        InvalidRequest: It is no form, not in UTF-8, too long, or a field occurs twice.
    """
    try:
        found = parse_qsl(
            body.decode(),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:  # its text repeats the field
        raise InvalidRequest(
            f"The body is no form in UTF-8 of up to {MAX_FIELDS} fields."
        ) from None
    named = dict(found)
    if len(named) < len(found):
        raise InvalidRequest("A field occurs twice in the form.")
    return named


def valid(kind: type[T], found: object) -> T:
    """Return what was found as a body of this kind.

    Raises:
        RequestValidationError: It is none; `limen.api.requests` puts the mistake into words.
    """
    try:
        return kind.model_validate(found)
    except ValidationError as invalid:
        mistakes = [{**mistake, "loc": ("body", *mistake["loc"])} for mistake in invalid.errors()]
        raise RequestValidationError(mistakes) from None
