"""limen within a FastAPI application that has a guarded route of its own: one process does both."""

from typing import Annotated

from fastapi import Depends, FastAPI

from limen import Limen
from limen.verify.claims import Claims

limen = Limen()
app = FastAPI()
app.include_router(limen.router)
limen.guard(app)


@app.get("/orders")
async def orders(user: Annotated[Claims, Depends(limen.current_user)]) -> dict[str, str]:
    return {"orders of": user.user_id}
