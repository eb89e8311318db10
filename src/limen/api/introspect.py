"""POST /introspect: is this token active, and what does it say (RFC 7662)?"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from limen.api.basic import CallingClient
from limen.api.bodies import TokenForm
from limen.api.forms import documented_form, form_of
from limen.api.wiring import Wiring, refusals


def add_to(router: APIRouter, limen: Wiring) -> None:
    @router.post(
        "/introspect",
        dependencies=[Depends(CallingClient(limen))],
        openapi_extra=documented_form(TokenForm),
        responses=refusals(400, 401, 429, 503),
    )
    async def introspect(
        form: Annotated[TokenForm, Depends(form_of(TokenForm))],
    ) -> dict[str, Any]:
        """Tell a client whether a token is active, and what it says if it is."""
        found = await limen.features.introspection.look(form.token)
        return {"active": False} if found is None else {**found.members(), "active": True}
