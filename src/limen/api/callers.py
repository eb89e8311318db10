"""Who calls: what a handler may know of its client, beside the body.

Those that FastAPI calls are coroutines that wait for nothing: it would run a plain function in a
thread.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from fastapi import Depends, Request, Response
from fastapi.security import SecurityScopes

from limen import origin as origins
from limen.clients import UNKNOWN, Client, ClientAddresses
from limen.devices import LIFETIME
from limen.errors import InvalidRequest
from limen.origin import Origin
from limen.verify.claims import Claims
from limen.verify.errors import MissingToken
from limen.verify.fastapi import CurrentUser, Refused

DEVICE_COOKIE = "limen_device"
DEVICE_HEADER = "Limen-Device"

RETRY_HEADER = "Idempotency-Key"
# Random enough that no other client has the same, short enough to store.
_RETRY_KEY = re.compile(r"[\x21-\x7e]{16,64}")
RETRY_KEY: Final = {
    "name": RETRY_HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": f"^{_RETRY_KEY.pattern}$"},
    "description": "16 to 64 random characters, stored before the request is sent and used for "
    "every retry of this one refresh. Without it, a retry is a replay.",
}


def origin_of(addresses: ClientAddresses) -> Callable[[Request], Origin]:
    """Return what tells where a request comes from; whose it is, its token says later."""

    def origin(request: Request) -> Origin:
        peer = request.client.host if request.client else None
        address = addresses.address(peer, request.headers.raw)
        return Origin("anonymous", address=address, agent=request.headers.get("user-agent"))

    return origin


async def calling(request: Request) -> Client:
    """Return who is calling: from where this request comes, and the device token that it brings."""
    device = request.headers.get(DEVICE_HEADER) or request.cookies.get(DEVICE_COOKIE)
    return Client(origins.present().address or UNKNOWN, device)


Caller = Annotated[Client, Depends(calling)]


def holder_of(current_user: CurrentUser) -> Callable[[Request], Awaitable[Claims | None]]:
    """Return the dependency that tells whose access token came along, on an open route.

    It gives None where there is none, and refuses a bad one like any guard.
    """

    async def holder(request: Request) -> Claims | None:
        try:
            user = await current_user(request, SecurityScopes())
        except Refused as refused:
            if isinstance(refused.error, MissingToken):
                return None
            raise
        origins.identify(user.user_id)
        return user

    return holder


def hand_out_device(response: Response, device: str, *, is_https: bool) -> None:
    """Tell a client the name of its device: programs in a header, browsers in a cookie."""
    response.headers[DEVICE_HEADER] = device
    response.set_cookie(
        DEVICE_COOKIE, device, max_age=LIFETIME, secure=is_https, httponly=True, samesite="lax"
    )


def retry_key(request: Request) -> str | None:
    """Return the request's Idempotency-Key, or None.

    Raises:
        InvalidRequest: There are several, or it is not 16 to 64 visible ASCII characters.
    """
    match request.headers.getlist(RETRY_HEADER):
        case []:
            return None
        case [key] if _RETRY_KEY.fullmatch(key):
            return key
        case _:
            raise InvalidRequest(
                f"Send one {RETRY_HEADER} of 16 to 64 visible ASCII characters.",
                field=RETRY_HEADER,
            )
