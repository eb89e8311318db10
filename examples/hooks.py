"""Claims of your own in the tokens, and what to do when something happens.

LIMEN_DATA_DIR=./limen-data uvicorn examples.hooks:app
"""

from typing import Annotated, Any

from fastapi import Depends, FastAPI

from limen import Limen
from limen.custom_claims import Holder
from limen.events import AccountChanged, Registered
from limen.verify.claims import Claims

tenants: dict[str, str] = {}  # in earnest: a table of yours


async def claims(holder: Holder) -> dict[str, object]:
    """Say what else a token of this account is to say."""
    return {"tenant": tenants.get(holder.user_id, "trial")}


limen = Limen(claims=claims)
app = FastAPI(title="Tenants")
app.include_router(limen.router)


@limen.on(Registered)
async def welcome(event: Registered) -> None:
    tenants.setdefault(event.user_id, "new here")


@limen.on(AccountChanged)
async def forget(event: AccountChanged) -> None:
    if event.change == "deleted":
        tenants.pop(event.user_id, None)


@app.get("/tenant")
async def tenant(user: Annotated[Claims, Depends(limen.current_user)]) -> Any:
    return user.extra["tenant"]


@app.put("/tenant/{name}", status_code=204)
async def move(name: str, user: Annotated[Claims, Depends(limen.current_user)]) -> None:
    tenants[user.user_id] = name
    # The tokens that say otherwise are refused from now on; a refresh gives one that says this.
    await limen.features.accounts.change(user.user_id, "access_changed")
