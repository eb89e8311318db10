"""What an answer means, how fast a probe asks, and what it does when it is put off."""

import time
from typing import Any

import pytest

from limen.probe.run import PAUSE_SECONDS, judge, probe
from limen.probe.sending import Answer, Target
from limen.verify.hostile import catalogue
from limen.verify.issuer import Issuer
from limen.verify.middleware import Guard
from limen.verify.verifier import Verifier
from tests.loopback import serving
from tests.tokens import AUDIENCE, signer
from tests.verify.elsewhere import elsewhere

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


class Guarded:
    """A service that lets the one token in, and puts off its third request `times` times."""

    def __init__(self, token: str, busy: int, retry_after: str, times: int) -> None:
        self._good = f"Bearer {token}".encode()
        self._busy = busy
        self._headers = [(b"retry-after", retry_after.encode())] if retry_after else []
        self._third = range(3, 3 + times)
        self.asked = 0

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self.asked += 1
        sent = [value for name, value in scope["headers"] if name == b"authorization"]
        status = 200 if sent == [self._good] else 401
        status = self._busy if self.asked in self._third else status
        await send({"type": "http.response.start", "status": status, "headers": self._headers})
        await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize(
    ("busy", "retry_after", "pause"),
    [
        (503, "1", PAUSE_SECONDS),  # as limen says for whatever it does not know
        (503, "", PAUSE_SECONDS),
        (429, "", PAUSE_SECONDS),
        (429, "2", 2),
        (429, "3600", PAUSE_SECONDS),
    ],
)
@pytest.mark.parametrize("times", [1, 2])
def test_what_is_put_off_is_sent_once_more(
    busy: int, retry_after: str, pause: float, times: int
) -> None:
    token, pauses = signer("Ed25519").token(), list[float]()
    made = catalogue(token)
    service = Guarded(token, busy, retry_after, times)
    with serving(service) as port:
        target = Target(f"http://127.0.0.1:{port}/")
        report = probe(target, token, made, rate=1e6, sleep=pauses.append)

    first, *others = report.results
    assert [pause for pause in pauses if pause > 1] == [pause]
    assert service.asked == len(made.hostile) + 4
    assert first.verdict == ("refused" if times == 1 else "unclear")
    assert {each.verdict for each in others} == {"refused"}
    assert bool(report.doubt) == (times == 2)


def test_limens_own_guard_answers_all_with_a_token_of_this_very_moment() -> None:
    ahead = 0.0

    def sleep(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    with elsewhere() as issuer:
        keys = Issuer(issuer.url, follow=False, monotonic=lambda: time.monotonic() + ahead)
        issuer.issuers.append(keys)
        verifier = Verifier(issuer.url, AUDIENCE, keys=keys)
        with serving(Guard(_let_in, verifier)) as port:
            token = issuer.token(age=0)
            made = catalogue(token, jwks=issuer.jwks())
            report = probe(Target(f"http://127.0.0.1:{port}/"), token, made, rate=1e6, sleep=sleep)

    assert len(report.results) == len(made.hostile)
    assert {each.verdict for each in report.results} == {"refused", "noted"}  # ES256 has twins
    assert report.doubt == ""
    assert ahead > 1  # it was put off


async def _let_in(scope: Any, _receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def test_a_report_shows_no_token() -> None:
    token = signer("Ed25519").token()
    made = catalogue(token)

    assert token not in repr(made)
    assert not any(part[:20] in repr(made) for part in token.split("."))
