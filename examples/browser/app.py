"""A page that signs in with limen.js and fetches what is guarded, from one origin.

LIMEN_DATA_DIR=./limen-data uvicorn examples.browser.app:app      then open http://localhost:8000/
"""

from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI
from fastapi.responses import FileResponse

from limen import Limen
from limen.verify.claims import Claims

HERE = Path(__file__).parent

limen = Limen()
app = FastAPI(title="Orders")
app.include_router(limen.router)  # /limen.js is one of its routes
limen.guard(app, open=["GET /", "GET /page.js"])


@app.get("/")
async def page() -> FileResponse:
    # Whoever could run a script here could use the tokens: only our own may run.
    return FileResponse(
        HERE / "index.html", headers={"Content-Security-Policy": "default-src 'self'"}
    )


@app.get("/page.js")
async def script() -> FileResponse:
    return FileResponse(HERE / "page.js")


@app.get("/orders")
async def orders(user: Annotated[Claims, Depends(limen.current_user)]) -> dict[str, str]:
    return {"orders of": user.user_id}
