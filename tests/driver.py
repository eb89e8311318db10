"""What limen asks of its database, watched where its driver is asked: whatever asks, and however.

statement    with those that were deferred until then, among them one that begins a transaction
commit       of a transaction that has begun, with what was deferred
rollback     of one, too
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal
from unittest.mock import patch

import psycopg
from psycopg.pq import TransactionStatus

from limen.database import one_hop, postgresql

Kind = Literal["statement", "commit", "rollback"]


@dataclass(frozen=True, slots=True)
class Call:
    """Something that is asked of `connection`, which is the driver's; `make` asks it."""

    kind: Kind
    connection: Any
    text: str
    make: Callable[[], Awaitable[Any]]

    @property
    def deferred(self) -> list[str]:
        """The statements that go along, before it is made."""
        return [one.text for one in self.connection._deferred]

    @property
    def trips(self) -> int:
        """How often it goes to the database; PostgreSQL commits when rows have come that should."""
        waits = any(one.rows is not None for one in self.connection._deferred)
        return 1 + (self.kind == "commit" and waits and is_postgresql(self.connection))

    @property
    def is_alone(self) -> bool:
        """Whether it is a statement that writes, and commits by itself."""
        return self.text.startswith("UPDATE") and not has_begun(self.connection)


Watch = Callable[[Call], Awaitable[Any]]

_is_watched: ContextVar[bool] = ContextVar("is_watched", default=False)

# Where the drivers are asked: in which class, by which method, and how its arguments tell the
# connection and the text.
_ASKED: tuple[tuple[Any, str, Kind, Callable[..., tuple[Any, Any]]], ...] = (
    (one_hop.OneHop, "ask", "statement", lambda its, text, *_: (its, text)),
    (one_hop.Cursor, "_go", "statement", lambda its, _run, text, *_: (its._connection, text)),
    (one_hop.OneHop, "commit", "commit", lambda its: (its, "")),
    (one_hop.OneHop, "rollback", "rollback", lambda its: (its, "")),
    (one_hop.OneHop, "abandon", "rollback", lambda its: (its, "")),
    (postgresql.Cursor, "execute", "statement", lambda its, text, *_: (its.connection, text)),
    (postgresql.Cursor, "executemany", "statement", lambda its, text, *_: (its.connection, text)),
    (postgresql.Connection, "commit", "commit", lambda its: (its, "")),
    (postgresql.Connection, "rollback", "rollback", lambda its: (its, "")),
)


@contextmanager
def watching(watch: Watch) -> Iterator[None]:
    """Have `watch` make each call within the block, or not; what it asks itself is not watched."""
    with ExitStack() as stack:
        for owner, name, kind, told in _ASKED:
            stack.enter_context(_watched(owner, name, kind, told, watch))
        yield


def _watched(
    owner: Any, name: str, kind: Kind, told: Callable[..., tuple[Any, Any]], watch: Watch
) -> Any:
    asked = getattr(owner, name)

    async def watched(its: Any, *arguments: Any, **options: Any) -> Any:
        connection, text = told(its, *arguments)
        if _is_watched.get() or (kind != "statement" and not has_begun(connection)):
            return await asked(its, *arguments, **options)
        token = _is_watched.set(True)
        try:
            text = text.decode() if isinstance(text, bytes) else str(text)
            return await watch(
                Call(kind, connection, text, lambda: asked(its, *arguments, **options))
            )
        finally:
            _is_watched.reset(token)

    return patch.object(owner, name, watched)


def has_begun(connection: Any) -> bool:
    """Whether a transaction has begun that is neither committed nor rolled back, or is about to."""
    if connection._deferred:
        return True
    if is_postgresql(connection):
        return connection.info.transaction_status is not TransactionStatus.IDLE
    return not connection.is_broken and bool(connection.in_transaction)


def is_postgresql(connection: Any) -> bool:
    return isinstance(connection, psycopg.AsyncConnection)
