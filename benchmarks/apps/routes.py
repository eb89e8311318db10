"""A FastAPI route that is guarded by limen's dependency, and the same unguarded."""

from typing import Annotated

from fastapi import Depends, FastAPI

from benchmarks.apps.verifier import verifier
from limen.verify.claims import Claims
from limen.verify.fastapi import CurrentUser

current_user = CurrentUser(verifier)
unguarded = FastAPI()
guarded = FastAPI()


@unguarded.get("/orders")
async def anybodys() -> dict[str, str]:
    return {"orders of": "anybody"}


@guarded.get("/orders")
async def orders(user: Annotated[Claims, Depends(current_user)]) -> dict[str, str]:
    return {"orders of": user.user_id}
