"""The keys and revocations of an issuer elsewhere are current, whatever the issuer answers."""

import asyncio
import gc
import json
import logging
import multiprocessing
import os
import random
import secrets
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from limen.verify import key_source, remote_keys
from limen.verify.errors import InvalidToken, RevocationsStale
from limen.verify.fetching import Unreachable
from limen.verify.issuer import Issuer
from limen.verify.key_source import KeySource
from limen.verify.verifier import Verifier
from tests.cli.processes import until
from tests.tokens import AUDIENCE, b64, signer
from tests.verify.elsewhere import FEED, JWKS, Answer, Elsewhere, answering, elsewhere, verdict

pytestmark = pytest.mark.anyio

KIDS, COOL_DOWNS = 10_000, 4


@pytest.fixture
def issuer() -> Iterator[Elsewhere]:
    with elsewhere() as issuer:
        yield issuer


class Watch:
    """A monotonic clock that goes on by itself, and that a test moves forward."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


async def test_a_verifier_of_an_address_follows_it_from_the_first_token_on(
    issuer: Elsewhere,
) -> None:
    verifier = Verifier(issuer.url, AUDIENCE)
    assert isinstance(verifier._keys, Issuer)
    issuer.issuers.append(verifier._keys)
    assert not issuer.asked

    assert (await verifier.verify(issuer.token())).sid == "s-1"
    issuer.publish("session", "s-1")
    until(lambda: verdict(verifier, issuer.token()) == "401 ended")


async def test_of_a_crowd_at_the_start_everybody_is_served(
    issuer: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_keys, "PATIENCE_SECONDS", 30.0)  # the crowd may need the machine

    def slowly(handler: Any) -> None:
        time.sleep(0.3)
        answering(issuer.jwks() if handler.path == JWKS else issuer.page(0, 0))(handler)

    issuer.answers = {JWKS: slowly, FEED: slowly}
    waiting, blocking = issuer.verifier(), issuer.verifier()
    with ThreadPoolExecutor(20) as pool:
        threads = [pool.submit(verdict, blocking, issuer.token()) for _ in range(20)]
        await asyncio.gather(*(waiting.verify(issuer.token()) for _ in range(200)))

    assert {thread.result() for thread in threads} == {"200"}
    assert issuer.asked[JWKS] == 2


def test_ten_thousand_random_kids_cause_one_fetch_in_a_cool_down(issuer: Elsewhere) -> None:
    watch = Watch()
    verifier = issuer.verifier(monotonic=watch, follow=False)
    assert verdict(verifier, issuer.token()) == "200"
    seed = secrets.randbits(32)
    print("seed", seed)
    rng, answers = random.Random(seed), Counter[str]()
    tails = [issuer.token(age=age).partition(".")[2] for age in (60, 0, -60)]
    for _ in range(COOL_DOWNS):
        before, began = issuer.asked[JWKS], watch()
        for _ in range(KIDS // COOL_DOWNS):
            header = json.dumps(issuer.signers[0].header(kid=rng.randbytes(8).hex()))
            hostile = f"{b64(header.encode())}.{rng.choice(tails)}"
            answers[verdict(verifier, hostile)] += 1
        assert 1 <= issuer.asked[JWKS] - before <= 1 + (watch() - began) // 5
        assert verdict(verifier, issuer.token()) == "200"
        watch.ahead += 5
    print(f"{KIDS} random kids in {COOL_DOWNS} cool-downs: {issuer.asked[JWKS]} fetches, {answers}")
    assert answers.keys() == {"401 unknown_key", "503"}


async def test_who_comes_while_the_keys_are_fetched_waits_for_that_answer(
    issuer: Elsewhere,
) -> None:
    verifier = issuer.verifier()
    await verifier.verify(issuer.token())
    new = signer("Ed25519", "new")
    issuer.signers.append(new)
    before = issuer.asked[JWKS]

    await asyncio.gather(*(verifier.verify(issuer.token(new, age=0)) for _ in range(100)))
    assert issuer.asked[JWKS] == before + 1


async def test_cancelled_requests_hold_nothing_up(issuer: Elsewhere) -> None:
    verifier = issuer.verifier()
    for _ in range(5):
        tasks = [asyncio.create_task(verifier.verify(issuer.token())) for _ in range(10)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
    await verifier.verify(issuer.token())


def test_an_old_token_of_an_unknown_key_is_refused_and_a_new_one_is_not_judged(
    issuer: Elsewhere,
) -> None:
    verifier, unknown = issuer.verifier(), signer("ES256", "unknown")
    assert verdict(verifier, issuer.token()) == "200"
    assert verdict(verifier, issuer.token(unknown, age=0)) == "401 unknown_key"  # looked, just now

    assert verdict(verifier, issuer.token(unknown, age=0)) == "503"  # may not look again so soon
    assert verdict(verifier, issuer.token(unknown, age=60)) == "401 unknown_key"


def test_an_announced_key_is_fetched_at_once_and_one_that_is_gone_is_refused(
    issuer: Elsewhere,
) -> None:
    verifier, new = issuer.verifier(), signer("ES256", "new")
    leaked = issuer.token()
    assert verdict(verifier, leaked) == "200"
    issuer.signers = [new]
    issuer.publish("keys")

    until(lambda: verdict(verifier, issuer.token(new, age=0)) == "200")
    assert verdict(verifier, leaked) == "401 unknown_key"


def test_an_issuer_of_several_workers_is_asked_twice_after_an_announcement(
    issuer: Elsewhere,
) -> None:
    verifier, new, leaked = issuer.verifier(), signer("ES256", "new"), issuer.token()
    assert verdict(verifier, leaked) == "200"
    old = issuer.jwks()
    before = issuer.asked[JWKS]
    issuer.answers[JWKS] = answering(old)  # by a worker that has not heard of it
    issuer.signers = [new]
    issuer.publish("keys")
    until(lambda: issuer.asked[JWKS] > before)
    del issuer.answers[JWKS]

    until(lambda: verdict(verifier, leaked) == "401 unknown_key")  # which nobody has asked for
    assert verdict(verifier, issuer.token(new, age=0)) == "200"


def test_a_key_that_was_announced_as_gone_is_not_believed_if_the_keys_cannot_be_read(
    issuer: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_keys, "FETCH_SECONDS", 0.1)
    watch = Watch()
    verifier = issuer.verifier(monotonic=watch)
    leaked = issuer.token()
    assert verdict(verifier, leaked) == "200"
    issuer.answers[JWKS] = answering(b"", 500)
    before = issuer.asked[JWKS]
    issuer.publish("keys")
    until(lambda: issuer.asked[JWKS] > before)

    watch.ahead += 11
    for number in range(3):  # the feed is read meanwhile, and is no news of the keys
        before = issuer.asked[FEED]
        issuer.publish("session", f"another-{number}")
        until(lambda before=before: issuer.asked[FEED] > before)  # type: ignore[misc]
    assert verdict(verifier, leaked) == "503"
    issuer.signers = [signer("ES256", "new")]
    del issuer.answers[JWKS]
    until(lambda: verdict(verifier, leaked) == "401 unknown_key")


def test_a_key_that_a_worker_still_believed_in_is_not_believed_if_the_second_look_fails(
    issuer: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_keys, "FETCH_SECONDS", 0.1)
    watch = Watch()
    verifier = issuer.verifier(monotonic=watch)
    leaked = issuer.token()
    assert verdict(verifier, leaked) == "200"
    before, looks = issuer.asked[JWKS], [answering(issuer.jwks())]

    def first_look_alone(handler: BaseHTTPRequestHandler) -> None:
        (looks.pop() if looks else answering(b"", 500))(handler)

    issuer.answers[JWKS] = first_look_alone
    issuer.signers = [signer("ES256", "new")]
    issuer.publish("keys")
    until(lambda: issuer.asked[JWKS] >= before + 2)
    watch.ahead += 11
    for number in range(3):  # the feed goes on
        polled = issuer.asked[FEED]
        issuer.publish("session", f"another-{number}")
        until(lambda polled=polled: issuer.asked[FEED] > polled)  # type: ignore[misc]

    assert verdict(verifier, leaked) == "503"
    del issuer.answers[JWKS]
    until(lambda: verdict(verifier, leaked) == "401 unknown_key")


def test_the_keys_are_read_again_before_their_time_is_over(issuer: Elsewhere) -> None:
    watch = Watch()
    verifier = issuer.verifier(monotonic=watch, follow=False)
    assert verdict(verifier, issuer.token()) == "200"
    watch.ahead += 230
    time.sleep(1.2)
    assert issuer.asked[JWKS] == 1
    watch.ahead += 11
    until(lambda: issuer.asked[JWKS] == 2)


@pytest.mark.parametrize(
    ("header", "age"),
    [
        ("public, max-age=300", 300),
        ("max-age=600,public", 600),
        ("Max-Age=31", 31),
        ("max-age=1", 30),
        ("max-age=0", 30),
        ("no-store", 30),
        ("no-cache, max-age=900", 30),
        ("max-age=999999999", 3600),
        ("s-maxage=900", 300),
        ("x-max-age=900", 300),
        ("max-age=-1", 300),
        ("max-age=soon", 300),
        ("", 300),
    ],
)
def test_cache_control_is_obeyed_within_bounds(issuer: Elsewhere, header: str, age: int) -> None:
    issuer.answers[JWKS] = answering(issuer.jwks(), headers={"Cache-Control": header})

    assert KeySource(issuer.url).read()[1] == age


def test_the_same_document_gives_the_same_keys(issuer: Elsewhere) -> None:
    source = KeySource(issuer.url)
    first, _ = source.read()
    assert source.read()[0] is first
    issuer.signers.append(signer("RS256"))
    assert source.read()[0] is not first


PRIVATE = {**signer("ES256").jwk, "d": "AAAA"}
ODD: dict[str, Answer] = {
    "no JSON": answering(b"<html>"),
    "a list": answering([]),
    "no keys": answering({"keys": []}),
    "a private key": answering({"keys": [PRIVATE]}),
    "a private key among others": answering({"keys": [signer("RS256").jwk, PRIVATE]}),
    "a secret": answering({"keys": [{"kty": "oct", "k": "AAAA", "kid": "x", "alg": "HS256"}]}),
    "two of one kid": answering({"keys": [signer("ES256").jwk] * 2}),
    "too many keys": answering(
        {"keys": [{**signer("ES256").jwk, "kid": f"{number}"} for number in range(101)]}
    ),
    "too large": answering(b" " * (key_source.MAX_BYTES + 1)),
    "duplicate members": answering(b'{"keys": [], "keys": []}'),
    "a redirect": answering({}, 302, {"Location": "http://127.0.0.1:1/"}),
    "an error": answering({}, 503),
}


@pytest.mark.parametrize("answer", ODD.values(), ids=ODD.keys())
def test_an_odd_key_set_is_none(issuer: Elsewhere, answer: Answer) -> None:
    issuer.answers[JWKS] = answer

    with pytest.raises(Unreachable):
        KeySource(issuer.url).read()


def test_an_odd_key_set_does_not_replace_a_good_one(issuer: Elsewhere) -> None:
    verifier = issuer.verifier()
    token = issuer.token()
    assert verdict(verifier, token) == "200"
    issuer.answers[JWKS] = ODD["a private key"]
    stranger = issuer.token(signer("ES256", "x"), age=0)

    assert verdict(verifier, stranger) == "503"  # it may be a good one: the keys cannot be read
    assert verdict(verifier, token) == "200"


def test_keys_come_from_a_file_without_a_network(issuer: Elsewhere, tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(issuer.jwks()))
    verifier = issuer.verifier(jwks=file, follow=False)

    assert verdict(verifier, issuer.token()) == "200"
    assert not issuer.asked
    file.write_bytes(b" " * (key_source.MAX_BYTES + 1))
    with pytest.raises(Unreachable):
        KeySource("", file).read()


def test_the_issuer_in_the_tokens_is_pinned_wherever_it_is_reached(issuer: Elsewhere) -> None:
    named = Issuer("https://login.example.com", at=issuer.url)
    issuer.issuers.append(named)
    verifier = Verifier("https://login.example.com", AUDIENCE, keys=named)

    assert verdict(verifier, issuer.token(iss="https://login.example.com")) == "200"
    assert verdict(verifier, issuer.token()) == "401 wrong_issuer"
    with pytest.raises(ValueError, match="another issuer"):
        Verifier(issuer.url, AUDIENCE, keys=named)


def test_what_is_closed_stops_and_starts_again_with_the_next_token(issuer: Elsewhere) -> None:
    verifier = issuer.verifier()
    for sid in ("s-1", "s-2"):
        assert verdict(verifier, issuer.token(sid=sid)) == "200"
        issuer.issuers[0].close()
        issuer.publish("session", sid)
        until(lambda: not _ours())
        assert verdict(verifier, issuer.token(sid=sid)) == "401 ended"


def test_a_verifier_closes_what_it_has_begun_and_nothing_else(issuer: Elsewhere) -> None:
    verifier = Verifier(issuer.url, AUDIENCE)
    assert verdict(verifier, issuer.token()) == "200"
    verifier.close()
    issuer.publish("session", "s-1")
    until(lambda: not _ours())
    assert verdict(verifier, issuer.token()) == "401 ended"
    verifier.close()
    issuer.publish("session", "s-2")
    until(lambda: not _ours())

    given = issuer.verifier()
    assert verdict(given, issuer.token(sid="s-3")) == "200"
    given.close()
    issuer.publish("session", "s-3")
    until(lambda: verdict(given, issuer.token(sid="s-3")) == "401 ended")


@pytest.mark.parametrize("found_by", ["counting", "the collector"])
def test_the_threads_of_a_verifier_that_nobody_has_any_more_end(
    issuer: Elsewhere, found_by: str
) -> None:
    others = {*_ours()}
    verifier = Verifier(issuer.url, AUDIENCE)
    assert verdict(verifier, issuer.token()) == "200"
    threads = {*_ours()} - others
    assert len(threads) == 2
    if found_by == "the collector":
        vars(verifier)["itself"] = verifier
    del verifier
    if found_by == "the collector":
        gc.collect()

    issuer.publish("session", "s-1")  # so that the last long poll need not be waited for
    until(lambda: not any(thread.is_alive() for thread in threads))


def test_a_machine_that_was_suspended_does_not_take_old_news_for_new(
    issuer: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier = issuer.verifier()
    assert verdict(verifier, issuer.token()) == "200"
    issuer.away()
    before = issuer.asked[FEED]
    issuer.publish("session", "another")
    until(lambda: issuer.asked[FEED] > before)
    assert verdict(verifier, issuer.token()) == "200"

    awake = time.clock_gettime
    monkeypatch.setattr(time, "clock_gettime", lambda clock: awake(clock) + 3600)
    assert verdict(verifier, issuer.token()) == "503"


def _ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("limen ")]


def test_a_forked_worker_follows_by_itself(issuer: Elsewhere) -> None:
    verifier = issuer.verifier()
    token = issuer.token()
    assert verdict(verifier, token) == "200"
    asked = issuer.asked.total()
    context = multiprocessing.get_context("fork")
    told: Any = context.Queue()
    workers = [
        context.Process(target=_work, args=(verifier, token, issuer.issuers[0], told))
        for _ in range(2)
    ]
    issuer.issuers[0]._lock.acquire()  # as if another thread had it in that moment
    for worker in workers:
        worker.start()
    issuer.issuers[0]._lock.release()
    assert [told.get(timeout=20) for _ in workers] == ["200", "200"]
    issuer.publish("session", "s-1")

    assert [told.get(timeout=20) for _ in workers] == ["401 ended", "401 ended"]
    for worker in workers:
        worker.join(20)
        assert worker.exitcode == 0
    assert issuer.asked.total() >= asked + 4


def test_a_forked_worker_may_forget_a_verifier_whose_locks_another_thread_had(
    issuer: Elsewhere,
) -> None:
    verifier = Verifier(issuer.url, AUDIENCE)
    assert verdict(verifier, issuer.token()) == "200"
    following = vars(verifier)["_own"]._following
    with ThreadPoolExecutor(1) as pool:
        pool.submit(following.keys._changed.acquire).result()
        worker = os.fork()
        if worker == 0:
            del verifier
            os._exit(7)
        pool.submit(following.keys._changed.release).result()
    try:
        until(lambda: os.waitid(os.P_PID, worker, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None)
    finally:
        os.kill(worker, signal.SIGKILL)
        ended = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    assert ended == 7


def _work(verifier: Verifier, token: str, _issuer: Issuer, told: Any) -> None:
    with ThreadPoolExecutor(8) as pool:
        first = {*pool.map(lambda _: verdict(verifier, token), range(8))}
    told.put(first.pop() if len(first) == 1 else f"{first}")
    until(lambda: verdict(verifier, token) != "200")
    assert len(_ours()) == 2
    told.put(verdict(verifier, token))
    told.close()
    told.join_thread()
    os._exit(0)


def test_the_log_tells_once_that_the_issuer_is_away_and_holds_no_token(
    issuer: Elsewhere, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    issuer.away()
    verifier = issuer.verifier()
    token = issuer.token()
    until(lambda: verdict(verifier, token) == "503" and min(issuer.asked.values()) > 2)
    issuer.answers = {}
    until(lambda: verdict(verifier, token) == "200")

    lines = [(record.getMessage(), vars(record)["what"]) for record in caplog.records]
    for what in ("keys", "revocations"):
        assert lines.count(("issuer not reached", what)) == 1
        assert lines.count(("issuer reached again", what)) == 1
    assert not any(part in str(vars(r)) for r in caplog.records for part in token.split("."))


async def test_a_token_is_checked_while_the_event_loop_was_busy(issuer: Elsewhere) -> None:
    verifier = issuer.verifier()
    await verifier.verify(issuer.token())
    issuer.publish("session", "s-1")
    until(lambda: len(verifier.revocations) == 1)  # without giving the loop a chance

    with pytest.raises(InvalidToken):
        await verifier.verify(issuer.token())


async def test_a_verifier_without_an_issuer_says_that_it_does_not_know(issuer: Elsewhere) -> None:
    issuer.away()
    verifier = issuer.verifier()

    with pytest.raises(RevocationsStale):
        await verifier.verify(issuer.token())
