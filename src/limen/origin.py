"""Where a change comes from: who makes it, and from which address.

Every change is recorded with its origin, and none is decided by it. So it does not travel through
the arguments of each call: it is set where a request, a command or a background step begins, and
read where the trail is written (`limen.audit`).

    anonymous     a request without an access token
    account       a request with one; `user_id` is whose
    operator      the command line
    program       the code of an application that limen is mounted in
    limen         its own background work
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Literal

Actor = Literal["anonymous", "account", "operator", "program", "limen"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Who acts, and from where; `agent` is what the client calls itself."""

    actor: Actor
    user_id: str | None = None
    address: str | None = field(default=None, repr=False)
    agent: str | None = field(default=None, repr=False)


PROGRAM = Origin("program")
LIMEN = Origin("limen")

_present: ContextVar[Origin] = ContextVar("limen.origin", default=PROGRAM)


def present() -> Origin:
    """Return the origin of what is being done now."""
    return _present.get()


@contextmanager
def coming_from(origin: Origin) -> Iterator[None]:
    """Let all that is done within the block come from this origin."""
    before = _present.set(origin)
    try:
        yield
    finally:
        _present.reset(before)


def identify(user_id: str) -> None:
    """Say whose request this has turned out to be."""
    _present.set(replace(_present.get(), actor="account", user_id=user_id))
