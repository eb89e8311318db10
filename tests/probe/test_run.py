"""What an answer means, and how fast a probe asks."""

import pytest

from limen.probe.run import judge, probe
from limen.probe.sending import Answer, Target
from limen.verify.hostile import catalogue
from tests.tokens import signer

VERDICTS: dict[str, list[int | None]] = {
    "accepted": [200, 201, 204, 299],
    "refused": [301, 302, 307, 400, 401, 403, 404, 413, 414, 422, 431],
    "unclear": [408, 429, 503, None],
    "error": [500, 501, 502, 504],
}


@pytest.mark.parametrize(
    ("status", "verdict"), [(code, name) for name, codes in VERDICTS.items() for code in codes]
)
def test_an_answer_means(status: int | None, verdict: str) -> None:
    assert judge(Answer(status)) == verdict


def test_what_is_allowed_is_only_noted() -> None:
    assert judge(Answer(200), allowed=True) == "noted"
    assert judge(Answer(500), allowed=True) == "error"


def test_a_wait_is_due_before_each_request() -> None:
    waits: list[float] = []
    token = signer("Ed25519").token()

    report = probe(
        Target("http://127.0.0.1:1/"), token, catalogue(token), rate=4, sleep=waits.append
    )

    assert report.doubt
    assert [round(wait, 1) for wait in waits] == [0.2]  # the first of the two controls is at once


def test_a_report_shows_no_token() -> None:
    token = signer("Ed25519").token()
    made = catalogue(token)

    assert token not in repr(made)
    assert not any(part[:20] in repr(made) for part in token.split("."))
