"""What administrators put into paths and queries, and the cursors that pages continue at.

A cursor is the place of the last row in the order of its list, written so that nobody is tempted
to make one up. It names the row's place and not the row, so a page continues where the last one
ended, even if that row has gone.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Path, Request
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from limen.errors import InvalidRequest
from limen.verify import base64url

MOST = 100  # rows of a page
MAX_NUMBER = 2**63 - 1  # as far as the database counts

T = TypeVar("T")

_ID = r"^[!-~]{1,64}$"
_MOMENT = r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)$"
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

PathId = Annotated[str, Path(pattern=_ID)]
IdText = Annotated[str, Field(pattern=_ID)]
CursorText = Annotated[str, Field(max_length=1024, pattern=r"^[A-Za-z0-9_-]*$")]
Limit = Annotated[int, Field(ge=1, le=MOST)]
MomentText = Annotated[str, Field(pattern=_MOMENT, json_schema_extra={"format": "date-time"})]
StoredText = Annotated[str, Field(pattern=r"^[^\x00]*$")]
StoredNumber = Annotated[int, Field(ge=0, le=MAX_NUMBER)]


class Parameters(BaseModel):
    """The query of a list; what it does not know is refused."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


async def _no_query(request: Request) -> None:
    if request.query_params:
        raise InvalidRequest("This route has no query parameters.")


NO_QUERY = Depends(_no_query)


class Cursor(Generic[T]):
    """Writes and reads positions of one kind."""

    def __init__(self, position: TypeAdapter[T]) -> None:
        self._position = position

    def written(self, position: T | None) -> str | None:
        """Return the cursor of a position; where there is none, None."""
        if position is None:
            return None
        return base64url.encode(self._position.dump_json(position))

    def read(self, cursor: str) -> T | None:
        """Return the position of a cursor; of an empty one, None.

        Raises:
            InvalidRequest: It is no cursor of this list.
        """
        if not cursor:
            return None
        try:
            return self._position.validate_json(base64url.decode(cursor), strict=False)
        except (ValueError, ValidationError):
            raise InvalidRequest(
                "'after' must be the 'next' of an earlier answer.", field="after"
            ) from None


def microseconds(moment: str | None, name: str) -> int | None:
    """Return a moment as it is stored; None stays None.

    Raises:
        InvalidRequest: There is no such day or time.
    """
    if moment is None:
        return None
    try:
        return (datetime.fromisoformat(moment.upper()) - _BEGINNING) // timedelta(microseconds=1)
    except ValueError:
        raise InvalidRequest(f"'{name}' is no moment that there is.", field=name) from None
