"""Custom claims: what an application adds to the access tokens of its users.

    async def claims(holder: Holder) -> dict[str, object]:
        return {"tenant": await tenant_of(holder.user_id)}

    limen = Limen(claims=claims)

The function is the application's: it may fail, and it may wait for what does not answer. That must
never cost anybody a session. So it is called before anything is decided: at a sign-in when the
password was right and no session has started, at a refresh when the token is authentic and has not
been used. If it raises, takes longer than `SECONDS`, or says what no token should carry, the answer
is 503, and what the client holds is worth what it was.

While it is at work, the account may be changed. So the access token gets the credential version
that was read before: if that was raised meanwhile, the token is void from its start, and the client
refreshes once more.

A function that is not async is called in one of a few threads. One that never returns keeps its
thread; if it has them all, nobody signs in, and the log says why.
"""

import asyncio
import inspect
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from sqlalchemy import select

from limen.database.engine import Database
from limen.database.schema import accounts
from limen.errors import ClaimsUnavailable
from limen.verify.claims import OWN
from limen.verify.strict_json import loads

SECONDS: Final = 3.0  # somebody waits for it with a form in front of him
THREADS: Final = 4

# A token must pass the gate (4 KiB), and a proxy's limit for all headers (mostly 8 KiB). With the
# longest scope, and an issuer and an audience of ordinary length, it does.
MOST_BYTES: Final = 1024
MOST_WITH_SCOPE_AND_ROLES: Final = 2048

_NAME = re.compile(r"[!-~]{1,64}")

RESERVED: Final[Mapping[str, str]] = {
    **dict.fromkeys(OWN, "limen says it itself"),
    **dict.fromkeys(("fid", "gen"), "it makes a refresh token"),
    **dict.fromkeys(
        ("email", "auth_time", "amr", "acr", "nonce"),
        "services would take it for limen's word",
    ),
    **dict.fromkeys(
        ("client_id", "azp", "act", "may_act", "cnf", "authorization_details", "events", "crit"),
        "a standard has services act on it",
    ),
    **dict.fromkeys(("active", "token_type", "username"), "introspection says it (RFC 7662)"),
}

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom a token is made for, and what he may do by then."""

    user_id: str
    scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Made:
    """Claims, and the credential version that the account had before they were made."""

    claims: Mapping[str, Any] = field(repr=False)
    cv: int


ClaimsFunction = Callable[[Holder], Mapping[str, object] | Awaitable[Mapping[str, object]]]


class CustomClaims:
    """Asks the application's function, if there is one."""

    def __init__(self, database: Database, function: ClaimsFunction | None) -> None:
        self._database = database
        self._function = function
        self._threads = ThreadPoolExecutor(THREADS, "limen-claims")

    async def of(self, user_id: str) -> Made | None:
        """Return the claims of an account as it is now; None if there are none, or no account.

        Raises:
            ClaimsUnavailable: The function failed.
            DatabaseUnavailable: The account cannot be read.
        """
        if self._function is None:
            return None
        row = accounts.c
        reading = select(row.cv, row.scope, row.roles).where(row.user_id == user_id)
        async with self._database.read() as connection:
            account = (await connection.execute(reading)).one_or_none()
        if account is None:
            return None
        return Made(await self.make(user_id, account.scope, account.roles), account.cv)

    async def make(self, user_id: str, scope: str, roles: str) -> Mapping[str, Any]:
        """Return the claims of an account that may do this; `scope` and `roles` are words.

        Raises:
            ClaimsUnavailable: The function failed.
        """
        if self._function is None:
            return {}
        holder = Holder(user_id, frozenset(scope.split()), frozenset(roles.split()))
        room = min(MOST_BYTES, MOST_WITH_SCOPE_AND_ROLES - len(scope) - len(roles))
        try:
            async with asyncio.timeout(SECONDS):
                return checked(await self._ask(self._function, holder), room)
        except Exception as error:
            _logger.exception("custom claims could not be made", extra={"user_id": user_id})
            raise ClaimsUnavailable from error

    def close(self) -> None:
        """Give up the threads; one that is still in the function goes when that returns."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, function: ClaimsFunction, holder: Holder) -> object:
        if inspect.iscoroutinefunction(function):
            return await function(holder)
        call = partial(copy_context().run, function, holder)
        said = await asyncio.get_running_loop().run_in_executor(self._threads, call)
        return await said if inspect.isawaitable(said) else said


def checked(said: object, room: int = MOST_BYTES) -> dict[str, Any]:
    """Return claims as a token carries them: a copy, as JSON is read.

    Raises:
        TypeError: They are no mapping, or hold what is not JSON.
        ValueError: A name is reserved or no name; a value is one that not every reader of JSON
            understands alike; they need more than `room` bytes.
    """
    if not isinstance(said, Mapping):
        raise TypeError(f"The claims must be a mapping, and are of type {type(said).__name__}.")
    for name in said:
        _check_name(name)
    written = json.dumps(dict(said), separators=(",", ":"), allow_nan=False).encode()
    if len(written) > room:
        raise ValueError(f"The claims have {len(written)} bytes of JSON, of {room} at most.")
    read: dict[str, Any] = loads(written)  # type: ignore[assignment]  # it was a mapping
    return read


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError("A claim's name has 1 to 64 visible characters of ASCII.")
    if name in RESERVED:
        raise ValueError(f"The claim {name!r} is reserved: {RESERVED[name]}.")
