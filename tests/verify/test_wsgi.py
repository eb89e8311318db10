"""Every path of a WSGI application is closed unless it is declared open."""

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIEnvironment
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from limen.verify.errors import InvalidAuthorization, MissingToken
from limen.verify.keyset import KeySet
from limen.verify.revocations import Revocation, Revocations, subject_digest
from limen.verify.verifier import Verifier
from limen.verify.wsgi import Guard, admit
from tests.loopback import request
from tests.tokens import AUDIENCE, ISSUER, signer, verifier

OPEN = ["/healthz", "GET /docs", "/static/*", "/café"]
GOOD = f"Bearer {signer('ES256').token()}"


def whoami(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["limen.claims"].user_id.encode() if "limen.claims" in environ else b"nobody"]


def guarded(checker: Verifier | None = None, open: Collection[str] = OPEN) -> Guard:  # noqa: A002
    return Guard(whoami, checker or verifier(), open=open)


def call(
    app: Callable[..., Any], path: str = "/notes", method: str = "GET", **environ: str
) -> tuple[str, dict[str, str], bytes]:
    """Call the application as a server would, and hold both to the letter of PEP 3333."""
    answered: list[Any] = []
    path = path.encode().decode("latin-1")
    environ = {"SCRIPT_NAME": "", "PATH_INFO": path, "REQUEST_METHOD": method, **environ}
    setup_testing_defaults(environ)
    environ["QUERY_STRING"] = ""

    def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> Any:
        answered.extend((status, dict(headers)))

    result = validator(app)(environ, start_response)
    try:
        body = b"".join(result)
    finally:
        result.close()  # type: ignore[attr-defined]  # the validator's has it
    return answered[0], answered[1], body


def test_a_good_token_passes_and_its_claims_are_in_the_environ() -> None:
    status, _, body = call(guarded(), HTTP_AUTHORIZATION=GOOD)

    assert (status, body) == ("200 OK", b"u-1")


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (None, "401 Unauthorized", "missing_token"),
        ("", "400 Bad Request", "invalid_request"),
        ("Basic dTpw", "401 Unauthorized", "missing_token"),
        ("Bearer", "400 Bad Request", "invalid_request"),
        ("Bearer garbage", "401 Unauthorized", "invalid_token"),
        (f"{GOOD},{GOOD}", "400 Bad Request", "invalid_request"),
        (f"{GOOD}, Bearer x", "400 Bad Request", "invalid_request"),
        (f"Basic dTpw, {GOOD}", "401 Unauthorized", "missing_token"),
        (f"{GOOD}\x80", "400 Bad Request", "invalid_request"),
    ],
)
def test_without_one_good_token_the_answer_is_a_problem(
    sent: str | None, status: str, code: str
) -> None:
    environ = {} if sent is None else {"HTTP_AUTHORIZATION": sent}
    answered, headers, body = call(guarded(), **environ)

    assert (answered, json.loads(body)["code"]) == (status, code)
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Length"] == str(len(body))
    assert headers["WWW-Authenticate"].startswith("Bearer")


def test_a_refused_head_has_no_body() -> None:
    status, headers, body = call(guarded(), method="HEAD")

    assert (status, body) == ("401 Unauthorized", b"")
    assert int(headers["Content-Length"]) > 0


def test_the_token_of_an_ended_session_is_refused() -> None:
    checker = verifier()
    checker.revocations.apply([Revocation(1, "session", subject_digest("s-1"), 0, 2_000_000_000)])

    assert call(guarded(checker), HTTP_AUTHORIZATION=GOOD)[0] == "401 Unauthorized"


def test_a_verifier_that_is_behind_answers_503_and_not_401() -> None:
    behind = Verifier(
        ISSUER,
        AUDIENCE,
        keys=KeySet([signer("ES256").key]),
        revocations=Revocations(),
        now=lambda: 1_800_000_000,
    )
    status, headers, _ = call(guarded(behind), HTTP_AUTHORIZATION=GOOD)

    assert (status, headers["Retry-After"]) == ("503 Service Unavailable", "1")
    assert "WWW-Authenticate" not in headers


@pytest.mark.parametrize(
    ("method", "path", "is_open"),
    [
        ("GET", "/healthz", True),
        ("DELETE", "/healthz", True),
        ("GET", "/healthz/", False),
        ("GET", "//healthz", False),
        ("GET", "/HEALTHZ", False),
        ("GET", "/healthz\n", False),
        ("HEAD", "/docs", True),
        ("POST", "/docs", False),
        ("get", "/docs", False),
        ("GET", "/café", True),
        ("GET", "/caf%C3%A9", False),
        ("GET", "/static/app.js", True),
        ("GET", "/static/é.js", True),
        ("GET", "/static", False),
        ("GET", "/static//app.js", False),
        ("GET", "/static/../notes", False),
        ("GET", "/static/..;/notes", False),
        ("GET", "/static/%2e%2e/notes", False),
        ("GET", "/static/..\\notes", False),
        ("GET", "/static/a\0.js", False),
        ("GET", "/", False),
        ("GET", "", False),
    ],
)
def test_only_what_is_declared_is_open(method: str, path: str, *, is_open: bool) -> None:
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path.encode().decode("latin-1")}
    answered = []
    guarded()(environ, lambda status, *_: answered.append(status))  # type: ignore[arg-type]

    assert answered == ["200 OK" if is_open else "401 Unauthorized"]


def test_bytes_that_are_no_utf_8_are_never_open() -> None:
    for path in ("/caf\xe9", "/static/\xff", "/static/\xc0\xae\xc0\xae/notes"):
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path}
        answered: list[str] = []
        guarded()(environ, lambda status, *_: answered.append(status))  # type: ignore[arg-type]  # noqa: B023

        assert answered == ["401 Unauthorized"]


@pytest.mark.parametrize(
    ("script", "path", "status"),
    [
        ("/app", "/healthz", "200 OK"),
        ("/healthz", "/notes", "401 Unauthorized"),
        ("/healthz", "", "401 Unauthorized"),
    ],
)
def test_the_path_is_the_one_below_script_name(script: str, path: str, status: str) -> None:
    assert call(guarded(), path, SCRIPT_NAME=script)[0] == status


def test_on_an_open_path_a_token_is_not_looked_at() -> None:
    for sent in (GOOD, "Bearer garbage"):
        assert call(guarded(), "/healthz", HTTP_AUTHORIZATION=sent)[2] == b"nobody"


def test_one_string_or_an_odd_entry_is_refused() -> None:
    with pytest.raises(TypeError, match="open: "):
        guarded(open="/healthz")
    with pytest.raises(ValueError, match="open: "):
        guarded(open=["/*"])


def test_claims_of_another_verifier_are_not_taken_over() -> None:
    environ: WSGIEnvironment = {"HTTP_AUTHORIZATION": GOOD}
    checker = verifier()
    claims = admit(environ, checker)
    assert admit(environ, checker) is claims

    del environ["HTTP_AUTHORIZATION"]
    with pytest.raises(MissingToken):
        admit(environ, verifier())


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served() -> Iterator[int]:
    with make_server("127.0.0.1", 0, guarded(), handler_class=Quiet) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_a_server_that_joins_two_headers_lets_neither_in() -> None:
    with served() as port:
        assert request(port, "/notes", f"Authorization: {GOOD}").status == 200
        assert request(port, "/caf%C3%A9").status == 200
        assert request(port, "/caf%E9").status == 401
        two = request(port, "/notes", f"Authorization: {GOOD}", f"authorization: {GOOD}")
    assert (two.status, json.loads(two.body)["code"]) == (400, InvalidAuthorization.code)
