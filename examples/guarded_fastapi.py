"""A FastAPI service whose users sign in at a limen elsewhere.

ISSUER=http://localhost:8000 uvicorn --port 8001 examples.guarded_fastapi:app
"""

import os
from typing import Annotated

from fastapi import Depends, FastAPI, Security

from limen.verify.claims import Claims
from limen.verify.fastapi import CurrentUser, add_problem_handlers
from limen.verify.middleware import Guard
from limen.verify.verifier import Verifier

ISSUER = os.environ.get("ISSUER", "http://localhost:8000")
AUDIENCE = os.environ.get("AUDIENCE", "limen")

verifier = Verifier(ISSUER, AUDIENCE)
# /docs can sign in there only if the two share an origin: `limen serve` sends no CORS headers.
current_user = CurrentUser(verifier, token_url=f"{ISSUER}/api/v1/auth/login")

app = FastAPI(title="Orders")
app.add_middleware(
    Guard, verifier=verifier, open=["GET /healthz", "GET /docs", "GET /openapi.json"]
)
add_problem_handlers(app)


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/orders")
async def orders(user: Annotated[Claims, Depends(current_user)]) -> dict[str, str]:
    return {"orders of": user.user_id}


@app.delete("/orders")
async def forget(
    user: Annotated[Claims, Security(current_user, scopes=["orders:write"])],
) -> dict[str, str]:
    return {"forgotten by": user.user_id}
