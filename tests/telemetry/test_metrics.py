"""Every event moves its series, every series is there from the start, and none can be invented."""

import itertools
import random
import re

import pytest

from limen import events
from limen.telemetry.metrics import COUNTERS, MAX_VALUES, Metrics


def samples(metrics: Metrics) -> dict[str, float]:
    """Return the samples by name and labels, less the moments at which they were created."""
    lines = metrics.render()[0].decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {
        name: float(value) for name, value in pairs if not name.split("{")[0].endswith("_created")
    }


def test_the_series_are_there_at_zero_from_the_start() -> None:
    at_start = samples(Metrics(limits=["login", "login-address"], version="1.2.3"))

    for series in [
        'limen_sign_ins_total{outcome="success"}',
        'limen_sign_ins_total{outcome="too_many_attempts"}',
        'limen_refreshes_total{outcome="fast_forwarded"}',
        "limen_replays_total",
        'limen_limits_hit_total{limit="login-address"}',
        'limen_sessions_ended_total{reason="ended_by_operator"}',
        "limen_registrations_total",
        "limen_password_hashes_total",
        "limen_password_hash_seconds_count",
        "limen_password_queue_seconds_count",
        "limen_password_queue_refused_total",
        "limen_password_queue_waiting",
        'limen_keys_created_total{algorithm="Ed25519"}',
    ]:
        assert at_start[series] == 0, series
    assert at_start['limen_build_info{version="1.2.3"}'] == 1


@pytest.mark.parametrize(
    ("event", "moved"),
    [
        (events.SignIn("busy"), {'limen_sign_ins_total{outcome="busy"}'}),
        (events.Refreshed("rotated", "s1"), {'limen_refreshes_total{outcome="rotated"}'}),
        (
            events.Refreshed("replayed", "s1"),
            {'limen_refreshes_total{outcome="replayed"}', "limen_replays_total"},
        ),
        (events.LimitHit("login"), {'limen_limits_hit_total{limit="login"}'}),
        (
            events.SessionEnded("s1", "logout", "u1"),
            {'limen_sessions_ended_total{reason="logout"}'},
        ),
        (events.Registered("u1"), {"limen_registrations_total"}),
        (events.HashingRefused(), {"limen_password_queue_refused_total"}),
        (
            events.DatabaseFailed("OperationalError"),
            {'limen_database_failures_total{kind="OperationalError"}'},
        ),
        (events.KeyCreated("k1", "ES256"), {'limen_keys_created_total{algorithm="ES256"}'}),
        (
            events.Posted("mail", "retried"),
            {'limen_outbox_letters_total{kind="mail",outcome="retried"}'},
        ),
        (events.Swept("sessions", 3), set()),
        (events.Event(), set()),
    ],
    ids=lambda value: repr(value) if isinstance(value, events.Event) else "",
)
def test_an_event_moves_its_series_and_no_other(event: events.Event, moved: set[str]) -> None:
    metrics = Metrics(limits=["login"])
    before = samples(metrics)
    metrics.subscriber(event)
    after = samples(metrics)

    assert {name for name in after if after[name] != before.get(name, 0)} == moved
    assert all(after[name] == 1 for name in moved)


def test_a_hash_is_counted_and_timed() -> None:
    metrics = Metrics()
    metrics.subscriber(events.PasswordHashed(waited=0.3, took=0.06))
    seen = samples(metrics)

    assert seen["limen_password_hashes_total"] == 1
    assert seen["limen_password_queue_seconds_sum"] == 0.3
    assert seen["limen_password_hash_seconds_sum"] == 0.06
    assert seen['limen_password_hash_seconds_bucket{le="0.05"}'] == 0
    assert seen['limen_password_hash_seconds_bucket{le="0.1"}'] == 1


def test_the_queue_is_asked_when_the_metrics_are_read() -> None:
    metrics = Metrics()
    waiting = [1, 2]
    metrics.watch_password_queue(lambda: len(waiting))
    waiting.append(3)

    assert samples(metrics)["limen_password_queue_waiting"] == 3


def test_the_queue_is_asked_when_a_hash_is_done() -> None:
    """Other workers cannot ask: they see what was said last."""
    metrics = Metrics()
    waiting = itertools.count(3)
    metrics.watch_password_queue(lambda: next(waiting))
    metrics.subscriber(events.PasswordHashed(waited=0.3, took=0.06))

    assert next(waiting) == 4


def test_a_request_is_counted_by_route_method_and_status() -> None:
    metrics = Metrics()
    metrics.observe_request(route="login", method="POST", status=200, seconds=0.02)
    seen = samples(metrics)

    assert seen['limen_http_requests_total{method="POST",route="login",status="200"}'] == 1
    assert seen['limen_http_request_seconds_count{route="login"}'] == 1


def test_a_client_cannot_invent_series() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    metrics = Metrics(limits=["login"])
    for _ in range(3000):
        word = f"{rng.getrandbits(64):x}"
        metrics.observe_request(
            route=word, method=word, status=rng.choice([0, -1, 99, 600, 10**9]), seconds=0
        )
        metrics.subscriber(events.LimitHit(word))
        metrics.subscriber(events.DatabaseFailed(word))
    seen = samples(metrics)

    for name in ["limen_http_requests_total", "limen_limits_hit_total", "limen_database_failures"]:
        assert sum(series.startswith(name) for series in seen) == MAX_VALUES + 1, name
    methods = {re.findall(r'method="(\w+)"', series)[0] for series in seen if "method=" in series}
    assert methods == {"other"}
    assert seen['limen_limits_hit_total{limit="login"}'] == 0


def test_two_limens_in_one_process_do_not_meet() -> None:
    one, other = Metrics(), Metrics()
    one.subscriber(events.Registered("u1"))

    assert samples(one)["limen_registrations_total"] == 1
    assert samples(other)["limen_registrations_total"] == 0


def test_prometheus_is_told_the_format() -> None:
    assert Metrics().render()[1].startswith("text/plain; version=")


def test_no_label_is_a_persons() -> None:
    labels = {counted.label for counted in COUNTERS}

    assert labels == {None, "outcome", "limit", "reason", "kind", "algorithm"}
