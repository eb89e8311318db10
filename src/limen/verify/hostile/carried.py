"""The valid token where it should not be looked for, and in requests that say two things.

`bearer` in lower case is no attack: the scheme has no case (RFC 9110, section 11.1).
"""

from collections.abc import Iterator

from limen.verify.hostile.attacks import ATTACKS
from limen.verify.hostile.forging import Valid
from limen.verify.hostile.requests import Hostile

_OTHER = "Bearer e30.e30.AAAA"
_PARAMETERS = ("access_token", "token")
_COOKIES = ("access_token", "token", "jwt")


def requests(valid: Valid) -> Iterator[Hostile]:
    """Yield requests that carry the valid token, and are to be refused."""
    good = f"Bearer {valid.token}"
    for name, values in (
        ("the same twice", (good, good)),
        ("valid, then forged", (good, _OTHER)),
        ("forged, then valid", (_OTHER, good)),
        ("Basic, then valid", ("Basic YTpi", good)),
        ("two in one, by a comma", (f"{good}, {_OTHER}",)),
    ):
        headers = tuple(("Authorization", value) for value in values)
        yield Hostile(name, ATTACKS["two-headers"], valid.token, headers)
    for scheme in ("", "Token ", "JWT ", "Bearer: "):
        headers = (("Authorization", scheme + valid.token),)
        yield Hostile(scheme.strip() or "no scheme", ATTACKS["other-scheme"], valid.token, headers)
    for parameter in _PARAMETERS:
        query = f"{parameter}={valid.token}"
        yield Hostile(f"?{parameter}=", ATTACKS["in-query"], valid.token, (), query)
    for cookie in _COOKIES:
        headers = (("Cookie", f"{cookie}={valid.token}"),)
        yield Hostile(f"cookie {cookie}", ATTACKS["in-cookie"], valid.token, headers)
