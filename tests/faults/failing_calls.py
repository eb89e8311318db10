"""Make exactly the n-th call to the database fail, as a broken driver, network or server would.

    refused    the call is not made; the driver raises its own error
    unheard    the call is made and takes effect; its answer is lost (of a commit above all)
    cut        PostgreSQL ends the connection, and the driver finds that out by itself

A call is whatever `tests.driver` sees: a statement (`BEGIN` is one), a commit, a rollback. Only
those of the task that strikes count, and of the tasks it starts: limen's background work goes on
undisturbed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

import psycopg

from limen.limen import Limen
from tests.driver import Call, watching
from tests.stored import disk_error

Fault = Literal["refused", "unheard", "cut"]


class Strike:
    """The fault of one call; `hit` says which, once there were so many calls."""

    def __init__(self, limen: Limen, number: int, fault: Fault) -> None:
        self.hit: str | None = None
        self.calls = 0
        self._limen = limen
        self._number = number
        self._fault = fault
        self._was_alone = False

    @property
    def is_lost_commit(self) -> bool:
        """Whether a commit took effect, and was reported as failed.

        It may be that of a statement that is a transaction of its own.
        """
        return self._fault == "unheard" and (self.hit == "commit" or self._was_alone)

    async def __call__(self, call: Call) -> Any:
        """Make the call, or make it fail."""
        self.calls += 1
        if self.calls != self._number:
            return await call.make()
        self.hit, self._was_alone = call.kind, call.is_alone
        if self._fault == "cut":
            self._cut(call.connection)
            return await call.make()
        if self._fault == "unheard":
            await call.make()
        raise disk_error(self._limen)

    def _cut(self, connection: Any) -> None:
        pid = connection.info.backend_pid
        with psycopg.connect(self._limen.settings.database_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


_STRIKE: ContextVar[Strike | None] = ContextVar("strike", default=None)


@contextmanager
def failing(limen: Limen, number: int, fault: Fault) -> Iterator[Strike]:
    """Make the call of this number fail for the length of the block."""
    strike = Strike(limen, number, fault)
    token = _STRIKE.set(strike)
    try:
        with watching(_strike):
            yield strike
    finally:
        _STRIKE.reset(token)


async def _strike(call: Call) -> Any:
    strike = _STRIKE.get()
    return await (call.make() if strike is None else strike(call))
