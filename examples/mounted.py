"""limen inside your own FastAPI application.

LIMEN_DATA_DIR=./limen-data uvicorn examples.mounted:app
"""

from typing import Annotated

from fastapi import Depends, FastAPI, Security

from limen import Limen
from limen.verify.claims import Claims

limen = Limen()
app = FastAPI(title="Orders")
app.include_router(limen.router)
limen.guard(app, open=["GET /", "GET /docs", "GET /openapi.json"])


@app.get("/")
async def welcome() -> dict[str, str]:
    return {"hello": "everybody"}


@app.get("/orders")
async def orders(user: Annotated[Claims, Depends(limen.current_user)]) -> dict[str, str]:
    return {"orders of": user.user_id}


@app.delete("/orders")
async def forget(
    user: Annotated[Claims, Security(limen.current_user, scopes=["orders:write"])],
) -> dict[str, str]:
    return {"forgotten by": user.user_id}
