"""Make exactly the n-th call to the database fail, as a broken driver, network or server would.

    refused    the call is not made; the driver raises its own error
    unheard    the call is made and takes effect; its answer is lost (of a commit above all)
    cut        PostgreSQL ends the connection, and the driver finds that out by itself

A call is whatever SQLAlchemy asks a driver for and does not end there: a statement (on SQLite,
`BEGIN IMMEDIATE` is one), a commit, a rollback of something. Only those of the task that strikes
count, and of the tasks it starts: limen's background work goes on undisturbed.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any, Literal
from unittest.mock import patch

import psycopg
from psycopg.pq import TransactionStatus

from limen.limen import Limen
from tests.stored import disk_error

Fault = Literal["refused", "unheard", "cut"]

_STATEMENTS = ("do_execute", "do_executemany", "do_execute_no_params")
_CALLS = (*_STATEMENTS, "do_commit", "do_rollback")


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
        return self._fault == "unheard" and (self.hit == "do_commit" or self._was_alone)

    def __call__(self, name: str, call: Callable[..., Any], target: Any, *arguments: Any) -> Any:
        """Make the call, or make it fail; `target` is the cursor or connection that it is for."""
        connection = target._adapt_connection if name in _STATEMENTS else target
        if name != "do_rollback" or _has_begun(connection.driver_connection):
            self.calls += 1
        if self.calls != self._number or self.hit is not None:
            return call(target, *arguments)
        self.hit = name
        self._was_alone = name in _STATEMENTS and _is_alone(connection.driver_connection, arguments)
        if self._fault == "cut":
            self._cut(connection.driver_connection)
            return call(target, *arguments)
        if self._fault == "unheard":
            call(target, *arguments)
        raise disk_error(self._limen)

    def _cut(self, connection: Any) -> None:
        pid = connection.info.backend_pid
        with psycopg.connect(self._limen.settings.database_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


def _has_begun(connection: Any) -> bool:
    if isinstance(connection, psycopg.AsyncConnection):
        return connection.info.transaction_status is not TransactionStatus.IDLE
    return bool(connection.in_transaction)


def _is_alone(connection: Any, arguments: tuple[Any, ...]) -> bool:
    """Whether a statement that writes commits by itself."""
    if not str(arguments[0]).startswith("UPDATE"):
        return False
    if isinstance(connection, psycopg.AsyncConnection):
        return connection.autocommit
    return not connection.in_transaction


_STRIKE: ContextVar[Strike | None] = ContextVar("strike", default=None)


@contextmanager
def failing(limen: Limen, number: int, fault: Fault) -> Iterator[Strike]:
    """Make the call of this number fail for the length of the block."""
    database = limen.features.database
    strike = Strike(limen, number, fault)
    token = _STRIKE.set(strike)
    try:
        with ExitStack() as stack:
            for dialect in {database._writer.dialect, database._reader.dialect}:
                for name in _CALLS:
                    stack.enter_context(_watched(dialect, name))
            yield strike
    finally:
        _STRIKE.reset(token)


@contextmanager
def _watched(dialect: Any, name: str) -> Iterator[None]:
    call = getattr(dialect, name)

    def watched(target: Any, *arguments: Any) -> Any:
        strike = _STRIKE.get()
        return (
            call(target, *arguments) if strike is None else strike(name, call, target, *arguments)
        )

    with patch.object(dialect, name, watched):
        yield
