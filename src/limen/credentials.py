"""Client credentials: how other services show that they may ask limen about tokens.

An operator makes them (`limen clients create`), a service sends them with HTTP Basic. A service
may have several at a time: to change a secret, make another pair, deploy it, delete the first.

The secret is 256 random bits, made here and shown once. The database keeps its SHA-256, without
salt or stretching: those slow down who guesses what people choose, and 256 random bits cannot be
guessed however quick a guess is. So a leaked database holds nothing to authenticate with, and a
service may ask a thousand times a second.

Every request reads the row, so that deleted credentials are refused at once, everywhere. An
unknown client and a wrong secret get one answer after one amount of work: one read, one digest,
one comparison in constant time. Failures are limited by address prefix. Good credentials pass all
the same: the limit is there to stop noise, not guesses, which are hopeless, and a service must not
be locked out by a neighbour that was deployed with an old secret. Noise that is refused already
writes nothing and keeps no writer waiting.
"""

import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import delete, insert, select

from limen.clients import bucket
from limen.clock import Clock
from limen.database.engine import Database
from limen.database.schema import api_clients
from limen.errors import InvalidClient, InvalidRequest
from limen.events import ClientCreated, ClientDeleted
from limen.rate_limits import Policy, RateLimits
from limen.revocation import RevocationLog
from limen.tokens import digest

SECRET_BYTES = 32

_CLIENT_ID = re.compile(r"[0-9a-f]{32}")
_NAME = re.compile(r"\S(.{0,62}\S)?")
_NOBODY = "." * 43  # the id and the digest of no client: as long as a digest, and never one


@dataclass(frozen=True, slots=True)
class ApiClient:
    """A service that may ask; `name` is for people, and need not be its alone."""

    client_id: str
    name: str
    created_at: int


@dataclass(frozen=True, slots=True)
class NewApiClient:
    """A client that was just made, with its secret, which nobody can look up again."""

    client: ApiClient
    secret: str = field(repr=False)


class ClientCredentials:
    """Makes, checks and deletes credentials; `policy` limits the failures of an address prefix."""

    def __init__(
        self,
        database: Database,
        log: RevocationLog,
        limits: RateLimits,
        *,
        policy: Policy,
        clock: Clock,
    ) -> None:
        self._database = database
        self._log = log
        self._limits = limits
        self._policy = policy
        self._clock = clock

    async def authenticate(self, client_id: str, secret: str, address: str) -> ApiClient:
        """Return the client that has this secret; `address` is where the request comes from.

        Raises:
            InvalidClient: There is no such client, or that is not its secret.
            TooManyAttempts: The same, from an address prefix that has failed too often.
            DatabaseUnavailable: Nobody can tell.
        """
        client = await self._recognised(client_id, secret)
        if client is not None:
            return client
        failures = self._limits.bucket(self._policy, bucket(address))
        await self._limits.require_room(failures)
        async with self._limits.attempt(failures):
            raise InvalidClient

    async def create(self, name: str) -> NewApiClient:
        """Make credentials.

        Raises:
            InvalidRequest: The name is not acceptable.
            DatabaseUnavailable: Nothing was made.
        """
        if not name.isprintable() or not _NAME.fullmatch(name):
            raise InvalidRequest("A name has 1 to 64 printable characters.", field="name")
        client = ApiClient(secrets.token_hex(16), name, self._clock())
        secret = secrets.token_urlsafe(SECRET_BYTES)
        row = {
            "client_id": client.client_id,
            "name": client.name,
            "secret_hash": digest(secret),
            "created_at": client.created_at,
        }
        async with self._log.change() as change:
            await change.connection.execute(insert(api_clients).values(row))
            change.happened(ClientCreated(client.client_id))
        return NewApiClient(client, secret)

    async def all(self) -> Sequence[ApiClient]:
        """Return every client, the oldest first.

        Raises:
            DatabaseUnavailable: They cannot be read.
        """
        row = api_clients.c
        everyone = select(row.client_id, row.name, row.created_at)
        async with self._database.read() as connection:
            found = await connection.execute(everyone.order_by(row.created_at, row.client_id))
            return [ApiClient(*one) for one in found]

    async def delete(self, client_id: str) -> bool:
        """Delete a client; return whether there was one.

        Raises:
            DatabaseUnavailable: It is still there.
        """
        gone = delete(api_clients).where(api_clients.c.client_id == _looked_up(client_id))
        async with self._log.change() as change:
            found = await change.connection.execute(gone.returning(api_clients.c.client_id))
            deleted = found.one_or_none() is not None
            if deleted:
                change.happened(ClientDeleted(client_id))
        return deleted

    async def _recognised(self, client_id: str, secret: str) -> ApiClient | None:
        which = api_clients.c.client_id == _looked_up(client_id)
        async with self._database.read() as connection:
            row = (await connection.execute(select(api_clients).where(which))).one_or_none()
        stored = _NOBODY if row is None else row.secret_hash
        if not hmac.compare_digest(stored.encode(), digest(secret).encode()) or row is None:
            return None
        return ApiClient(row.client_id, row.name, row.created_at)


def _looked_up(client_id: str) -> str:
    """Return what the database is asked for: an id that could be one, or the id of nobody."""
    return client_id if _CLIENT_ID.fullmatch(client_id) else _NOBODY
