"""The keys that sign access tokens, in the database: made, rotated, retired.

A key is published in the key set before it signs, for longer than verifiers cache the set, and is
kept for a day after its last signature, as long as any token may live. So a rotation refuses no
good token and needs no restart (`limen.key_ring` shows the life of a key). The first key signs at
once, since nobody can have cached a set.

In an emergency, when a private part may have leaked, nothing of that is waited for: a new key
signs at once, and every other one, present or next, has retired. What they have signed is refused
from then on; refresh tokens are sealed with another secret, so nobody is signed out.

The database holds the private parts sealed (`limen.sealing`), each under its kid. They are opened
and parsed when they are loaded, never for a token.
"""

import asyncio
import json
import secrets
from typing import Any

from joserfc import jwk
from joserfc.jwk import ECKey, Key, KeyParameters, OctKey, OKPKey, RSAKey
from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from limen.clock import SECOND, Clock
from limen.database.engine import Database
from limen.database.schema import signing_keys
from limen.errors import ConfigurationError
from limen.events import KeyCreated, KeysRetired
from limen.key_ring import SigningKey
from limen.revocation import RevocationLog
from limen.sealing import Seal
from limen.secret import RootSecret
from limen.verify.verifier import MAX_LIFETIME_SECONDS

# Verifiers may cache the key set for as long as its Cache-Control says.
JWKS_MAX_AGE = 300

# Published twice as long as it may be cached, so that a slow or retried fetch is in time as well.
PUBLISHED_BEFORE_SIGNING = 2 * JWKS_MAX_AGE * SECOND

# As long as any token may live: the shell that rotates may lack the settings of the server.
LONGEST = MAX_LIFETIME_SECONDS * SECOND

# Kept a little longer than its last token lives, for verifiers whose clocks run late.
MARGIN = 60 * SECOND

RSA_BITS = 2048
HMAC_BITS = 256


class SigningKeys:
    """The keys in the database."""

    def __init__(
        self,
        database: Database,
        log: RevocationLog,
        secret: RootSecret,
        *,
        algorithm: str,
        clock: Clock,
    ) -> None:
        self._database = database
        self._log = log
        self._seal = Seal(secret.derive_all("signing keys"))
        self._algorithm = algorithm
        self._clock = clock

    async def open(self, *, to_serve: bool = True) -> list[SigningKey]:
        """Load the keys, after making one if there is none.

        Whoever opens them `to_serve` makes one of the configured algorithm too, and seals them all
        with the newest secret. A command beside the server does not: its shell may have none of
        the server's settings.

        Raises:
            ConfigurationError: The root secret does not open the keys in this database.
            DatabaseUnavailable: The database cannot be read or written.
        """
        found = await self._read()
        if not found or (to_serve and not any(self._serves(key) for key, _ in found)):
            await self._create(self._algorithm, only_if_missing=True)
        if to_serve and any(stale for _, stale in found):
            await self._seal_anew()
        return await self.load()

    async def load(self) -> list[SigningKey]:
        """Read all keys that are still of use.

        Raises:
            ConfigurationError: The root secret does not open them.
            DatabaseUnavailable: The database cannot be read.
        """
        return [key for key, _ in await self._read()]

    async def rotate(self, *, emergency: bool = False) -> SigningKey:
        """Publish a new key, which will sign in a while; the present ones then retire.

        In an `emergency` it signs at once, and all others have retired. It is of the algorithm of
        the newest: a shell that rotates may lack the server's settings.

        Raises:
            DatabaseUnavailable: Nothing has changed.
        """
        newest = (await self.load())[-1]
        return await self._create(newest.algorithm, at_once=emergency)

    async def _create(
        self, algorithm: str, *, only_if_missing: bool = False, at_once: bool = False
    ) -> SigningKey:
        key = await asyncio.to_thread(_generate, algorithm)
        async with self._log.change() as change:
            await change.alone()  # so that of two that find no key only one makes it
            present = [key for key, _ in await self._read_rows(change.connection)]
            if only_if_missing and (serving := [*filter(self._serves, present)]):
                return serving[-1]  # another process was first
            made = self._born(key, algorithm, at_once=at_once or not present)
            await self._retire(change.connection, made, at_once=at_once)
            await change.connection.execute(insert(signing_keys).values(self._row(made)))
            await change.announce_keys()
            change.happened(KeyCreated(made.kid, made.algorithm))
            if present:
                change.happened(KeysRetired(made.kid, "emergency" if at_once else "planned"))
        return made

    def _serves(self, key: SigningKey) -> bool:
        return key.retires_at is None and key.algorithm == self._algorithm

    def _born(self, key: Key, algorithm: str, *, at_once: bool) -> SigningKey:
        now = self._clock()
        signs_from = now if at_once else now + PUBLISHED_BEFORE_SIGNING
        return SigningKey(str(key.kid), algorithm, key, now, signs_from, None)

    async def _retire(
        self, connection: AsyncConnection, successor: SigningKey, *, at_once: bool
    ) -> None:
        retiring = update(signing_keys)
        if at_once:  # at 0: what was given up does not come back if the clock is set back
            retiring = retiring.values(retires_at=0)
        else:
            end = successor.signs_from + LONGEST + MARGIN
            retiring = retiring.where(signing_keys.c.retires_at.is_(None)).values(retires_at=end)
        await connection.execute(retiring)

    async def _seal_anew(self) -> None:
        """Seal with the newest root secret what an older one had sealed."""
        async with self._database.write() as connection:
            for key, stale in await self._read_rows(connection):
                if stale:
                    await connection.execute(
                        update(signing_keys)
                        .where(signing_keys.c.kid == key.kid)
                        .values(sealed=self._sealed(key))
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
            "sealed": self._sealed(key),
            "created_at": key.created_at,
            "signs_from": key.signs_from,
            "retires_at": key.retires_at,
        }

    def _sealed(self, key: SigningKey) -> bytes:
        private = json.dumps(key.key.as_dict(private=True)).encode()
        return self._seal.seal(private, key.kid)

    def _opened(self, row: Row[Any]) -> tuple[SigningKey, bool]:
        """Return the key of a row, and whether an older root secret had sealed it."""
        opened = self._seal.open(row.sealed, row.kid)
        if opened is None:
            raise ConfigurationError(
                "LIMEN_SECRET",
                "this secret does not open the signing keys in the database",
                "the secret that the database was created with, after the new one: NEW,OLD",
            )
        key = jwk.import_key(json.loads(opened.content))
        times = (row.created_at, row.signs_from, row.retires_at)
        return SigningKey(row.kid, row.algorithm, key, *times), opened.is_stale


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
