"""What to do when the issuer does not answer: say it once, pause, and say when it is back."""

import logging
import random

from limen.verify.fetching import Unreachable

PAUSES = (0.25, 2.0)  # the first and the longest, in seconds

_logger = logging.getLogger(__name__)


class Reachability:
    """Whether what is read over and over could be read; the log hears of changes alone."""

    def __init__(self, what: str, issuer: str) -> None:
        self._extra = {"what": what, "issuer": issuer}
        self._pause = 0.0

    def failed(self, error: Exception) -> float:
        """Note a failure; return how many seconds to wait before the next attempt."""
        first, longest = PAUSES
        if not isinstance(error, Unreachable):
            _logger.error("reading from the issuer failed", exc_info=error, extra=self._extra)
        elif not self._pause:
            _logger.warning("issuer not reached", extra={**self._extra, "why": str(error)})
        self._pause = min(2 * self._pause, longest) or first
        return self._pause * random.uniform(0.5, 1.0)  # noqa: S311  no secret

    def succeeded(self) -> None:
        """Note that it went well."""
        if self._pause:
            _logger.info("issuer reached again", extra=self._extra)
        self._pause = 0.0
