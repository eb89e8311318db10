"""Known devices: what keeps an attacker from locking an owner out by failing on purpose.

A successful sign-in hands its device a token that says "somebody who knew this account's password
used this device". Later attempts that present it are counted apart from everybody else's, five
for this device alone, so strangers who use up the account's attempts do not use up its owner's.
The token proves nothing else and opens nothing: without the right password it is worth five
guesses a window, and only for the account it was made for (OWASP, "device cookies"). It does not
end with the password.

    1795000000.uQ3v….4nZ1…    when it was made, which device, and a MAC over both and the account

Nothing is stored. The account's address is not in the token; it must be presented beside it.
"""

import hmac
import re
import secrets

from limen.clock import SECOND, Clock
from limen.verify import base64url

# A device that has not signed in for so long is a stranger again.
LIFETIME = 400 * 86400

_SHAPE = re.compile(
    r"(?P<made>[0-9]{10})\.(?P<device>[A-Za-z0-9_-]{22})\.(?P<mac>[A-Za-z0-9_-]{43})"
)


class Devices:
    """Makes and recognises device tokens, sealed with `key`."""

    def __init__(self, key: bytes, clock: Clock) -> None:
        self._key = key
        self._clock = clock

    def issue(self, email_key: str) -> str:
        """Return a token for a device on which this account has just signed in."""
        made, device = f"{self._clock() // SECOND:010d}", secrets.token_urlsafe(16)
        return f"{made}.{device}.{self._mac(email_key, made, device)}"

    def recognise(self, token: str | None, email_key: str) -> str | None:
        """Return the device's name, if the token was made for this account and is not too old.

        Anything else is a stranger: None, whatever is wrong with it.
        """
        shape = _SHAPE.fullmatch(token or "")
        if shape is None:
            return None
        made, device, mac = shape.groups()
        if not hmac.compare_digest(mac, self._mac(email_key, made, device)):
            return None
        age = self._clock() // SECOND - int(made)
        return device if age <= LIFETIME else None

    def _mac(self, email_key: str, made: str, device: str) -> str:
        message = f"{made}.{device}.{email_key}".encode()
        return base64url.encode(hmac.digest(self._key, message, "sha256"))
