"""Guarding a whole WSGI application, of Flask, Django or any other framework.

    app.wsgi_app = Guard(app.wsgi_app, verifier, open=["/healthz", "GET /docs", "/static/*"])

The same entries and the same refusals as those of the ASGI guard (`limen.verify.open_routes`,
`limen.verify.problems`). The path that is compared is PATH_INFO, which is the one that routers
match: SCRIPT_NAME is already taken off it. WSGI hands it over as bytes in the guise of Latin-1; a
path that is not UTF-8 is not open, whatever a framework would read in it.

Most servers join what was sent as several Authorization headers with commas. No token has a comma
in it, so several are refused here too. A server that hands on only one of them decides which: then
this guard, and the application behind it, see no other.
"""

from collections.abc import Collection, Iterable
from http import HTTPStatus
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from limen.verify.bearer import bearer_token
from limen.verify.claims import Claims
from limen.verify.errors import GuardError
from limen.verify.open_routes import OpenRoutes
from limen.verify.problems import MEDIA_TYPE, Problem, problem_of
from limen.verify.verifier import Verifier


class Guard:
    """A WSGI application in front of another that lets only good access tokens through.

    The claims of an admitted request stand in `environ["limen.claims"]`. On an open path a
    presented token is not looked at, so that an old one cannot spoil a health check.
    """

    def __init__(
        self,
        app: WSGIApplication,
        verifier: Verifier,
        *,
        open: Collection[str] = (),  # noqa: A002 - the word is read where it is written: at the call
    ) -> None:
        """Guard `app`, but for the `open` entries.

        Raises:
            ValueError: An entry is of none of the three forms, or would open everything.
            TypeError: `open` is one string, not a collection of them.
        """
        self._app = app
        self._verifier = verifier
        self._open = OpenRoutes(open)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Let the request through or answer it with a problem."""
        if not self._is_open(environ):
            try:
                admit(environ, self._verifier)
            except GuardError as error:
                return _refuse(environ, start_response, problem_of(error))
        return self._app(environ, start_response)

    def _is_open(self, environ: WSGIEnvironment) -> bool:
        try:
            path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8")
        except UnicodeError:
            return False
        return self._open.cover(environ["REQUEST_METHOD"], path)


def admit(environ: WSGIEnvironment, verifier: Verifier) -> Claims:
    """Return the claims of the request's access token, verified once per request and verifier.

    Raises:
        GuardError: There is no good token: MissingToken, InvalidAuthorization, InvalidToken, or
            RevocationsStale.
    """
    if environ.get("limen.verifier") is not verifier:
        claims = verifier.verify_blocking(_token(environ))
        environ["limen.claims"], environ["limen.verifier"] = claims, verifier
    admitted: Claims = environ["limen.claims"]
    return admitted


def _token(environ: WSGIEnvironment) -> str:
    sent = environ.get("HTTP_AUTHORIZATION")
    return bearer_token([] if sent is None else [(b"authorization", sent.encode("latin-1"))])


def _refuse(
    environ: WSGIEnvironment, start_response: StartResponse, problem: Problem
) -> Iterable[bytes]:
    body = problem.body()
    headers = [("Content-Type", MEDIA_TYPE), ("Content-Length", str(len(body))), *problem.headers]
    start_response(f"{problem.status} {HTTPStatus(problem.status).phrase}", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
