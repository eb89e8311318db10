"""POST /login: e-mail address and password in, the tokens of a new session out.

JSON, or the form of an OAuth 2.0 password grant, which is what the Authorize button of /docs sends
(RFC 6749, section 4.3.2). The tokens are in the body and never in a cookie. The one cookie names
the device (`limen.devices`); it opens nothing. Programs find the same in the Limen-Device header.
"""

from fastapi import APIRouter, Request, Response

from limen.api.bodies import Credentials, PasswordGrant, TokensReply
from limen.api.callers import calling, hand_out_device
from limen.api.forms import FORM, fields, media_type, valid
from limen.api.requests import asked_first
from limen.api.wiring import NEW_DEVICE, Wiring, refusals
from limen.errors import InvalidRequest

JSON = "application/json"

_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: {"schema": Credentials.model_json_schema()},
            FORM: {"schema": PasswordGrant.model_json_schema()},
        },
    }
}


def add_to(router: APIRouter, limen: Wiring) -> None:
    def has_room() -> None:
        limen.features.login.require_room()

    @router.post(
        "/login",
        openapi_extra=_BODY,
        responses={200: {"headers": NEW_DEVICE}, **refusals(401, 422, 429, 503)},
    )
    @asked_first(has_room)
    async def login(request: Request, response: Response) -> TokensReply:
        """Sign in."""
        credentials, client = await _credentials(request), await calling(request)
        signed_in = await limen.features.login.sign_in(
            credentials.email, credentials.password, client
        )
        if signed_in.device:
            hand_out_device(response, signed_in.device, is_https=limen.is_https)
        return TokensReply.of(signed_in.tokens)


async def _credentials(request: Request) -> Credentials:
    """Read the body, whichever of the two it is."""
    sent = media_type(request)
    if sent == JSON:
        return valid(Credentials, await request.json())
    if sent == FORM:
        grant = valid(PasswordGrant, fields(await request.body()))
        return Credentials(email=grant.username, password=grant.password)
    raise InvalidRequest(f"Send JSON ({JSON}) or a form ({FORM}).")
