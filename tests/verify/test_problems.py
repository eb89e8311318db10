"""What a client is told when it is refused."""

import json

import pytest

from limen.verify import errors
from limen.verify.errors import (
    GuardError,
    InsufficientScope,
    InvalidAuthorization,
    InvalidToken,
    MissingToken,
    RevocationsStale,
)
from limen.verify.problems import GUARD_PROBLEMS, Problem, problem_of


@pytest.mark.parametrize(
    ("error", "status", "code", "header", "value"),
    [
        (MissingToken(), 401, "missing_token", "WWW-Authenticate", "Bearer"),
        (
            InvalidToken("expired"),
            401,
            "invalid_token",
            "WWW-Authenticate",
            (
                'Bearer error="invalid_token", '
                'error_description="The access token has expired: refresh it."'
            ),
        ),
        (
            InvalidAuthorization(),
            400,
            "invalid_request",
            "WWW-Authenticate",
            (
                'Bearer error="invalid_request", error_description="Send exactly one Authorization '
                "header, of the form 'Bearer <token>'.\""
            ),
        ),
        (
            InsufficientScope(("admin", "notes:write")),
            403,
            "insufficient_scope",
            "WWW-Authenticate",
            (
                'Bearer error="insufficient_scope", error_description="This route needs a token '
                'with the scope: admin notes:write.", scope="admin notes:write"'
            ),
        ),
        (RevocationsStale(), 503, "revocations_stale", "Retry-After", "1"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, GuardError) else "",
)
def test_each_refusal_has_its_status_and_header(
    error: GuardError, status: int, code: str, header: str, value: str
) -> None:
    problem = problem_of(error)

    assert (problem.status, problem.code) == (status, code)
    assert dict(problem.headers) == {"Cache-Control": "no-store", header: value}


def test_every_kind_of_refusal_has_a_status_of_its_own_choosing() -> None:
    named = {kind for kind in vars(errors).values() if isinstance(kind, type)}
    refusals = {kind for kind in named if issubclass(kind, GuardError)}

    assert set(GUARD_PROBLEMS) == refusals


def test_a_refusal_of_an_unknown_kind_is_still_a_refusal() -> None:
    class Novel(GuardError):
        pass

    assert problem_of(Novel()).status == 401


def test_a_refined_refusal_is_answered_as_what_it_refines() -> None:
    class Frozen(InvalidToken):
        pass

    assert problem_of(Frozen("ended")) == problem_of(InvalidToken("ended"))


def test_the_document_has_the_members_of_rfc_9457_and_a_code() -> None:
    problem = Problem(418, "teapot", "Teapot", "Short and stout.", extra={"spout": True})

    assert json.loads(problem.body()) == {
        "type": "urn:limen:problem:teapot",
        "title": "Teapot",
        "status": 418,
        "detail": "Short and stout.",
        "code": "teapot",
        "spout": True,
    }


@pytest.mark.parametrize(
    "scope", ['a"b', "a\\b", "a\r\nSet-Cookie: x=1", "é", "\x00", "\ud800"], ids=ascii
)
def test_no_scope_can_break_out_of_the_challenge(scope: str) -> None:
    problem = problem_of(InsufficientScope((scope,)))
    challenge = dict(problem.headers)["WWW-Authenticate"]

    assert challenge.count('"') == 6
    assert challenge.isascii()
    assert challenge.isprintable()
    assert "\\" not in challenge
    assert problem.body().isascii()
