"""The credentials of a client in a request: one Authorization header, HTTP Basic (RFC 7617).

    Authorization: Basic base64(client_id ":" secret)

Clients of OAuth write both parts as in a form before they join them (RFC 6749, section 2.3.1).
Whether they do makes no difference here: neither part has a character that would change. Whatever
is wrong with the header, the answer is that of wrong credentials, but only credentials that could
be read are looked up and counted.
"""

import base64
import re
from collections.abc import Iterable
from urllib.parse import unquote_plus

from fastapi import Request
from fastapi.openapi.models import HTTPBase
from fastapi.security.base import SecurityBase

from limen.api.callers import calling
from limen.api.wiring import Wiring
from limen.credentials import ApiClient
from limen.errors import InvalidClient

_BASIC = re.compile(rb"(?i:basic) +([A-Za-z0-9+/]+={0,2})")


class CallingClient(SecurityBase):
    """The dependency that turns a request's credentials into the client they belong to."""

    def __init__(self, limen: Wiring) -> None:
        about = "Client credentials, made with `limen clients create`"
        self.model = HTTPBase(scheme="basic", description=about)
        self.scheme_name = "client"
        self._limen = limen

    async def __call__(self, request: Request) -> ApiClient:
        """Return the client.

        Raises:
            InvalidClient: There are no credentials, or they are not good.
            TooManyAttempts: They are not good, and too many from this address were not.
        """
        client_id, secret = basic_credentials(request.headers.raw)
        caller = await calling(request)
        credentials = self._limen.features.credentials
        return await credentials.authenticate(client_id, secret, caller.address)


def basic_credentials(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, str]:
    """Return the id and the secret in the headers of an ASGI scope.

    Raises:
        InvalidClient: There are none, several, or they are malformed.
    """
    values = [value for name, value in headers if name.lower() == b"authorization"]
    match = _BASIC.fullmatch(values[0].strip(b" \t")) if len(values) == 1 else None
    if match is None:
        raise InvalidClient
    try:
        client_id, colon, secret = base64.b64decode(match[1], validate=True).decode().partition(":")
        if colon:
            return unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
    except ValueError:  # no base64, or no UTF-8
        pass
    raise InvalidClient
