"""A Flask service whose users sign in at a limen elsewhere.

ISSUER=http://localhost:8000 flask --app examples.guarded_flask run --port 8002
"""

import os

from flask import Flask, Response, request

from limen.verify.claims import Claims
from limen.verify.errors import GuardError, InsufficientScope
from limen.verify.problems import MEDIA_TYPE, problem_of
from limen.verify.verifier import Verifier
from limen.verify.wsgi import Guard

ISSUER = os.environ.get("ISSUER", "http://localhost:8000")
AUDIENCE = os.environ.get("AUDIENCE", "limen")

app = Flask(__name__)
guard = Guard(app.wsgi_app, Verifier(ISSUER, AUDIENCE), open=["GET /healthz"])
app.wsgi_app = guard  # type: ignore[method-assign]  # as Flask's own documentation says


def current_user(*scopes: str) -> Claims:
    """Return the claims of the caller, if his token has these scopes."""
    claims: Claims = request.environ["limen.claims"]
    if not claims.scopes.issuperset(scopes):
        raise InsufficientScope(scopes)
    return claims


@app.errorhandler(GuardError)
def refuse(error: GuardError) -> Response:
    problem = problem_of(error)
    return Response(problem.body(), problem.status, dict(problem.headers), mimetype=MEDIA_TYPE)


@app.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/orders")
def orders() -> dict[str, str]:
    return {"orders of": current_user().user_id}


@app.delete("/orders")
def forget() -> dict[str, str]:
    return {"forgotten by": current_user("orders:write").user_id}
