"""Every error that can be raised has one answer, and it can be trusted to stay."""

import json
from collections.abc import Iterator

import pytest

from limen import errors
from limen.api.problems import not_ready, problem_for, problem_for_status
from limen.verify.errors import GuardError, InsufficientScope, LimenError, RevocationsStale
from tests.refusals import MEMBERS
from tests.structured_fields import parse

ANSWERS = [
    (errors.InvalidRequest(), 422, "invalid_request"),
    (errors.BodyTooLarge(), 413, "body_too_large"),
    (errors.BodyTooSlow(), 408, "body_too_slow"),
    (errors.PasswordRefused("common", "Too common."), 422, "password_refused"),
    (errors.InvalidCredentials(), 401, "invalid_credentials"),
    (
        errors.TooManyAttempts(policy="login", quota=5, window=900, retry_after=7),
        429,
        "too_many_attempts",
    ),
    (errors.InvalidRefreshToken(), 401, "invalid_refresh_token"),
    (errors.RefreshSuperseded(), 409, "refresh_superseded"),
    (errors.InvalidClient(), 401, "invalid_client"),
    (errors.RegistrationClosed(), 403, "registration_closed"),
    (errors.InvitationRequired(), 403, "invitation_required"),
    (errors.InvalidCode(), 400, "invalid_code"),
    (errors.WrongPassword(), 403, "wrong_password"),
    (errors.EmailNotVerified(), 403, "email_not_verified"),
    (errors.SessionNotFound(), 404, "session_not_found"),
    (errors.LastAdministrator(), 409, "last_administrator"),
    (errors.LetterNotFound(), 404, "letter_not_found"),
    (errors.EmailTaken(), 409, "email_taken"),
    (errors.AccountNotFound(), 404, "account_not_found"),
    (errors.Busy(retry_after=3), 503, "busy"),
    (errors.DatabaseUnavailable(), 503, "database_unavailable"),
    (errors.PasswordCheckUnavailable(), 503, "password_check_unavailable"),
    (errors.ClaimsUnavailable(), 503, "claims_unavailable"),
    (InsufficientScope(("admin",)), 403, "insufficient_scope"),
    (RevocationsStale(), 503, "revocations_stale"),
]


@pytest.mark.parametrize(
    ("error", "status", "code"), ANSWERS, ids=[type(error).__name__ for error, *_ in ANSWERS]
)
def test_an_error_has_its_status_and_code(error: LimenError, status: int, code: str) -> None:
    problem = problem_for(error)
    document = json.loads(problem.body())

    assert (problem.status, problem.code) == (status, code)
    assert tuple(document)[:5] == MEMBERS
    assert document["detail"].endswith((".", "?"))
    assert ("Cache-Control", "no-store") in problem.headers


def test_no_error_is_forgotten() -> None:
    answered = {type(error) for error, *_ in ANSWERS}

    assert set(leaves(LimenError)) - answered == {
        errors.ConfigurationError,
        errors.SchemaOutdated,
    }


def leaves(kind: type[LimenError]) -> Iterator[type[LimenError]]:
    """Yield what is raised: all of limen.errors, below LimenError; the guard's are elsewhere."""
    for below in kind.__subclasses__():
        if issubclass(below, GuardError):
            continue
        if below.__module__ == "limen.errors":
            yield below
        yield from leaves(below)


def test_codes_are_not_shared() -> None:
    codes = [code for _, _, code in ANSWERS]

    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize(("error", "status"), [(error, status) for error, status, _ in ANSWERS])
def test_a_status_brings_the_headers_that_it_needs(error: LimenError, status: int) -> None:
    names = {name for name, _ in problem_for(error).headers}

    assert ("WWW-Authenticate" in names) == (status == 401 or isinstance(error, InsufficientScope))
    assert ("Retry-After" in names) == (status in (429, 503))
    assert ("RateLimit" in names) == (status == 429)


def test_a_reached_limit_says_which_and_how_long() -> None:
    error = errors.TooManyAttempts(policy="login", quota=5, window=900, retry_after=7)
    problem = problem_for(error)
    headers = dict(problem.headers)

    assert headers["Retry-After"] == "7"
    assert parse(headers["RateLimit"]) == [("login", {"r": 0, "t": 7})]
    assert parse(headers["RateLimit-Policy"]) == [("login", {"q": 5, "w": 900})]
    assert problem.extra == {"violated-policies": ["login"]}


def test_wrong_credentials_are_one_answer() -> None:
    assert problem_for(errors.InvalidCredentials()) == problem_for(errors.InvalidCredentials())


def test_a_refused_password_says_why() -> None:
    problem = problem_for(errors.PasswordRefused("common", "Too common."))

    assert problem.extra == {"field": "password", "reason": "common"}


@pytest.mark.parametrize(
    ("status", "code"),
    [(404, "not_found"), (405, "method_not_allowed"), (400, "invalid_request")],
)
def test_what_the_router_refuses_is_a_problem_too(status: int, code: str) -> None:
    problem = problem_for_status(status, {"Allow": "POST"})

    assert (problem.status, problem.code) == (status, code)
    assert ("Allow", "POST") in problem.headers


def test_not_being_ready_names_the_checks() -> None:
    problem = not_ready({"database": "unavailable", "keys": "ok"})

    assert (problem.status, problem.code) == (503, "not_ready")
    assert json.loads(problem.body())["checks"] == {"database": "unavailable", "keys": "ok"}
    assert dict(problem.headers)["Retry-After"] == "1"
