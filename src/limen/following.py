"""Following what other processes do: what they revoke, and which signing keys they make.

The revocation log says both. Each process reads on from where it stopped (`limen.revocation`), in
the rounds of its memory: every second, and at every hint. Where an entry announces keys, or the log
has begun anew and may have lost the entry, the keys are read again. An announcement is kept in mind
until that has succeeded.
"""

from limen.errors import DatabaseUnavailable
from limen.key_ring import KeyRing, SigningKey
from limen.keys import SigningKeys
from limen.revocation import RevocationLog


class Following:
    """Keeps the ring of this process at the keys that are in the database."""

    def __init__(self, log: RevocationLog, keys: SigningKeys, ring: KeyRing) -> None:
        self._log = log
        self._keys = keys
        self._ring = ring
        self._is_announced = self._is_unread = False

    async def begin(self, *, to_serve: bool) -> None:
        """Read the log and the keys, after making one if there is none (`SigningKeys.open`).

        Raises:
            ConfigurationError: The root secret does not open the keys in this database.
            DatabaseUnavailable: The database cannot be read or written.
        """
        await self._log.pull()  # first, so that keys made from now on are announced to us
        self._ring.replace(await self._keys.open(to_serve=to_serve))

    async def catch_up(self) -> None:
        """Obey what other processes have revoked, and take over the keys they have made.

        Raises:
            DatabaseUnavailable: Not all of it could be read; the next round goes on.
        """
        pulled = await self._log.pull()
        self._is_announced |= self._log.began_anew
        self._is_announced |= any(revocation.kind == "keys" for revocation in pulled)
        if self._is_announced:
            await self._take_over_keys()
            self._is_announced = False

    async def rotate_keys(self, *, emergency: bool = False) -> SigningKey:
        """Make a new signing key, and take it over here at once (`limen.keys`).

        Raises:
            DatabaseUnavailable: Nothing has changed.
        """
        made = await self._keys.rotate(emergency=emergency)
        await self.catch_up()
        return made

    def check(self) -> str:
        """Return "ok", or in a few words why tokens cannot be signed or judged as they should."""
        if self._is_unread:
            return "new ones could not be read"
        return "ok" if self._ring.all else "no signing key"

    async def _take_over_keys(self) -> None:
        try:
            keys = await self._keys.load()
        except DatabaseUnavailable:
            self._is_unread = True
            raise
        self._is_unread = False
        if keys:  # without any, those that were known go on
            self._ring.replace(keys)
