"""/keys: the signing keys, as everybody may know them."""

from fastapi import APIRouter

from limen.api.admin.bodies import KeyReply, KeysReply, RotateBody
from limen.api.admin.parameters import NO_QUERY
from limen.api.wiring import Wiring, refusals


def add_to(router: APIRouter, limen: Wiring) -> None:
    @router.get("/keys", dependencies=[NO_QUERY], responses=refusals(400, 401, 403, 422, 503))
    async def list_keys() -> KeysReply:
        """List the signing keys. No private part is ever shown."""
        return KeysReply(keys=[KeyReply.of(*one) for one in limen.memory.ring.states()])

    @router.post(
        "/keys/rotate", dependencies=[NO_QUERY], responses=refusals(400, 401, 403, 422, 503)
    )
    async def rotate_keys(body: RotateBody | None = None) -> KeysReply:
        """Make a new signing key, and list them all.

        It signs when every verifier had time to fetch it, and nobody is signed out. In an
        `emergency` it signs at once: all access tokens are refused from now on, the one of this
        request included, and clients refresh theirs.
        """
        await limen.features.following.rotate_keys(emergency=body is not None and body.emergency)
        return KeysReply(keys=[KeyReply.of(*one) for one in limen.memory.ring.states()])
