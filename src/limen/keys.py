"""The keys that sign access tokens: made, published, used, retired.

    published          signing             verifying only         gone
    |------------------|-------------------|----------------------|
    created_at         signs_from          successor signs        retires_at

A key is published in the key set before it signs, for longer than verifiers cache the set, and is
kept until the last token it signed has expired, so a rotation refuses no good token and needs no
restart. The state of a key follows from these moments and the present: nothing is to be switched,
so no two workers can disagree. The first key signs at once, since nobody can have cached a set.

The database holds the private parts sealed (AES-256-GCM, the kid as associated data) under a key
derived from the root secret. They are opened and parsed when they are loaded, never for a token.
HMAC keys stay out of the key set.
"""

import asyncio
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from joserfc import jwk
from joserfc.jwk import ECKey, Key, KeyParameters, OctKey, OKPKey, RSAKey
from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from limen.clock import SECOND, Clock
from limen.database.engine import Database
from limen.database.schema import signing_keys
from limen.errors import ConfigurationError
from limen.events import Events, KeyCreated
from limen.revocation import RevocationLog
from limen.secret import RootSecret
from limen.verify.keyset import VerificationKey

# Verifiers may cache the key set for as long as its Cache-Control says.
JWKS_MAX_AGE = 300

# Published twice as long as it may be cached, so that a slow or retried fetch is in time as well.
PUBLISHED_BEFORE_SIGNING = 2 * JWKS_MAX_AGE * SECOND

# Kept a little longer than its last token lives, for verifiers whose clocks run late.
MARGIN = 60 * SECOND

RSA_BITS = 2048
HMAC_BITS = 256


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key with the moments of its life (microseconds); `retires_at` is None while it is open."""

    kid: str
    algorithm: str
    key: Key
    created_at: int
    signs_from: int
    retires_at: int | None

    def state(self, now: int, current: str) -> str:
        """Return "next", "current", "retiring" or "retired"."""
        if self.retires_at is not None and self.retires_at <= now:
            return "retired"
        if self.kid == current:
            return "current"
        return "next" if self.signs_from > now else "retiring"


class KeyRing:
    """The keys of this limen, in memory: signs, verifies, publishes."""

    def __init__(self, keys: Iterable[SigningKey], clock: Clock) -> None:
        self._clock = clock
        self.replace(keys)

    def replace(self, keys: Iterable[SigningKey]) -> None:
        """Take over what the database holds now."""
        self.all = sorted(keys, key=lambda key: (key.signs_from, key.kid))
        self._verification = {
            key.kid: (VerificationKey(key.kid, key.algorithm, key.key), key.retires_at)
            for key in self.all
        }

    def find(self, kid: str) -> VerificationKey | None:
        """Return the key that verifies tokens of this `kid`, unless it has retired."""
        found = self._verification.get(kid)
        if found is None:
            return None
        key, retires_at = found
        return None if retires_at is not None and retires_at <= self._clock() else key

    @property
    def signing(self) -> SigningKey:
        """The key that signs now: the newest whose time has come."""
        now = self._clock()
        ready = [key for key in self.all if key.signs_from <= now]
        return (ready or self.all)[-1 if ready else 0]  # a clock set back leaves the first key

    def jwks(self) -> dict[str, Any]:
        """Return the public key set (RFC 7517): no private member, no HMAC key."""
        now = self._clock()
        return {
            "keys": [
                {**key.key.as_dict(private=False), "alg": key.algorithm, "use": "sig"}
                for key in self.all
                if not isinstance(key.key, OctKey)
                and (key.retires_at is None or key.retires_at > now)
            ]
        }


class SigningKeys:
    """The keys in the database. `longest` is the lifetime of an access token, in seconds."""

    def __init__(
        self,
        database: Database,
        log: RevocationLog,
        secret: RootSecret,
        *,
        algorithm: str,
        longest: int,
        clock: Clock,
        events: Events,
    ) -> None:
        self._database = database
        self._log = log
        self._seals = [AESGCM(key) for key in secret.derive_all("signing keys")]
        self._algorithm = algorithm
        self._longest = longest * SECOND
        self._clock = clock
        self._events = events

    async def open(self, *, to_serve: bool = True) -> list[SigningKey]:
        """Load the keys, after making one if there is none.

        Whoever opens them `to_serve` makes one of the configured algorithm too, and seals them all
        with the newest secret. A command beside the server does not: its shell may have none of
        the server's settings.

        Raises:
            ConfigurationError: The root secret does not open the keys in this database.
            DatabaseUnavailable: The database cannot be read or written.
        """
        keys = await self.load()
        if not keys or (to_serve and not any(map(self._serves, keys))):
            await self._create(self._algorithm, only_if_missing=True)
        if to_serve and any(stale for _, stale in await self._read()):
            await self._seal_anew()
        return await self.load()

    async def load(self) -> list[SigningKey]:
        """Read all keys that are still of use.

        Raises:
            ConfigurationError: The root secret does not open them.
            DatabaseUnavailable: The database cannot be read.
        """
        return [key for key, _ in await self._read()]

    async def rotate(self) -> SigningKey:
        """Publish a new key, which will sign in a while; the present ones then retire.

        It is of the algorithm of the newest: a shell that rotates may lack the server's settings.

        Raises:
            DatabaseUnavailable: Nothing has changed.
        """
        newest = (await self.load())[-1]
        return await self._create(newest.algorithm, only_if_missing=False)

    async def _create(self, algorithm: str, *, only_if_missing: bool) -> SigningKey:
        key = await asyncio.to_thread(_generate, algorithm)
        async with self._log.change() as change:
            await change.alone()  # so that of two that find no key only one makes it
            present = [key for key, _ in await self._read_rows(change.connection)]
            if only_if_missing and (serving := [*filter(self._serves, present)]):
                return serving[-1]  # another process was first
            made = self._born(key, algorithm, first=not present)
            await self._retire(change.connection, made)
            await change.connection.execute(insert(signing_keys).values(self._row(made)))
            await change.announce_keys()
        self._events.emit(KeyCreated(made.kid, made.algorithm))
        return made

    def _serves(self, key: SigningKey) -> bool:
        return key.retires_at is None and key.algorithm == self._algorithm

    def _born(self, key: Key, algorithm: str, *, first: bool) -> SigningKey:
        now = self._clock()
        signs_from = now if first else now + PUBLISHED_BEFORE_SIGNING
        return SigningKey(str(key.kid), algorithm, key, now, signs_from, None)

    async def _retire(self, connection: AsyncConnection, successor: SigningKey) -> None:
        await connection.execute(
            update(signing_keys)
            .where(signing_keys.c.retires_at.is_(None))
            .values(retires_at=successor.signs_from + self._longest + MARGIN)
        )

    async def _seal_anew(self) -> None:
        """Seal with the newest root secret what an older one had sealed."""
        async with self._database.write() as connection:
            for key, stale in await self._read_rows(connection):
                if stale:
                    await connection.execute(
                        update(signing_keys)
                        .where(signing_keys.c.kid == key.kid)
                        .values(sealed=self._seal(key))
                    )

    async def _read(self) -> list[tuple[SigningKey, bool]]:
        async with self._database.read() as connection:
            return await self._read_rows(connection)

    async def _read_rows(self, connection: AsyncConnection) -> list[tuple[SigningKey, bool]]:
        rows = await connection.execute(select(signing_keys).order_by(signing_keys.c.signs_from))
        return [self._opened(row) for row in rows]

    def _row(self, key: SigningKey) -> dict[str, object]:
        return {
            "kid": key.kid,
            "algorithm": key.algorithm,
            "sealed": self._seal(key),
            "created_at": key.created_at,
            "signs_from": key.signs_from,
            "retires_at": key.retires_at,
        }

    def _seal(self, key: SigningKey) -> bytes:
        nonce = secrets.token_bytes(12)
        private = json.dumps(key.key.as_dict(private=True)).encode()
        return nonce + self._seals[0].encrypt(nonce, private, key.kid.encode())

    def _opened(self, row: Row[Any]) -> tuple[SigningKey, bool]:
        """Return the key of a row, and whether an older root secret had sealed it."""
        for age, seal in enumerate(self._seals):
            try:
                private = seal.decrypt(row.sealed[:12], row.sealed[12:], row.kid.encode())
            except InvalidTag:
                continue
            key = jwk.import_key(json.loads(private))
            times = (row.created_at, row.signs_from, row.retires_at)
            return SigningKey(row.kid, row.algorithm, key, *times), age > 0
        raise ConfigurationError(
            "LIMEN_SECRET",
            "this secret does not open the signing keys in the database",
            "the secret that the database was created with, after the new one: NEW,OLD",
        )


def _generate(algorithm: str) -> Key:
    parameters: KeyParameters = {"kid": secrets.token_hex(8)}
    match algorithm:
        case "RS256":
            return RSAKey.generate_key(RSA_BITS, parameters)
        case "ES256":
            return ECKey.generate_key("P-256", parameters)
        case "Ed25519":
            return OKPKey.generate_key("Ed25519", parameters)
        case _:
            return OctKey.generate_key(HMAC_BITS, parameters)
