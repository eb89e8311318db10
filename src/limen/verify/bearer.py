"""The access token in a request: exactly one Authorization header, of the form `Bearer <token>`.

Frameworks disagree about odd headers. Given two Authorization headers one takes the first and
another the last, so a proxy may judge one token and the application another. Here a request
says one thing or it is refused:

    no Authorization header                    MissingToken
    one, of another scheme, such as Basic      MissingToken
    one, `Bearer <token>`                      the token, not yet looked at
    several headers, or one that is malformed  InvalidAuthorization

The scheme is compared without regard to case (RFC 9110, section 11.1) and the token is a token68
(section 11.2). A token in the query string, in a form or in a cookie is never looked for:
addresses are logged, and cookies are sent by other people's pages (RFC 9700, section 4.3.2).
"""

import re
from collections.abc import Iterable

from limen.verify.errors import InvalidAuthorization, MissingToken

_BEARER = re.compile(rb"(?i:bearer) ++([A-Za-z0-9._~+/-]++=*+)")
_SCHEME = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?: .*)?", re.DOTALL)


def bearer_token(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the token in the headers of an ASGI scope. It is ASCII and never empty.

    Raises:
        MissingToken: There is no Authorization header, or it is of another scheme.
        InvalidAuthorization: There are several, or the one is malformed (RFC 6750, section 3.1).
    """
    values = [value for name, value in headers if name.lower() == b"authorization"]
    if not values:
        raise MissingToken
    if len(values) > 1:
        raise InvalidAuthorization
    credentials = values[0].strip(b" \t")
    if match := _BEARER.fullmatch(credentials):
        return match[1].decode("ascii")
    scheme = _SCHEME.fullmatch(credentials)
    if scheme is None or scheme[1].lower() == b"bearer":
        raise InvalidAuthorization
    raise MissingToken
