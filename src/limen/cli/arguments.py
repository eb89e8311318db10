"""What is typed after an option, where it is more than a word: times, and anchors of the trail."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from limen.audit_chain import Link

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(click.ParamType[int]):
    """A time as RFC 3339 writes it, or a date; in microseconds. Without an offset it is UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            self.fail("is no time: write 2026-11-29 or 2026-11-29T18:30:00Z.", param, ctx)
        zoned = found if found.tzinfo else found.replace(tzinfo=UTC)
        return (zoned - _EPOCH) // timedelta(microseconds=1)


class Anchor(click.ParamType["Link"]):
    """A head of the trail, as it was noted."""

    name = "anchor"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Link":
        from limen.audit_chain import Link  # noqa: PLC0415  help needs no database

        try:
            return Link.noted(value)
        except ValueError:
            self.fail("is no anchor: 'limen audit head' shows one.", param, ctx)
