"""A FastAPI route that is guarded by limen's dependency, the same unguarded, and by the least."""

from typing import Annotated

from fastapi import Depends, FastAPI, Request

from benchmarks.apps.verifier import verifier
from limen.verify.claims import Claims
from limen.verify.fastapi import CurrentUser

current_user = CurrentUser(verifier)
unguarded = FastAPI()
guarded = FastAPI()
remembering = FastAPI()
seen = dict[str, str]()


@unguarded.get("/orders")
async def anybodys() -> dict[str, str]:
    return {"orders of": "anybody"}


@guarded.get("/orders")
async def orders(user: Annotated[Claims, Depends(current_user)]) -> dict[str, str]:
    return {"orders of": user.user_id}


async def remembered(request: Request) -> str:
    """Find the token and look it up; each that comes is taken for good."""
    token = request.headers["authorization"]
    return seen.setdefault(token, token[-8:])


@remembering.get("/orders")
async def least(user: Annotated[str, Depends(remembered)]) -> dict[str, str]:
    return {"orders of": user}
