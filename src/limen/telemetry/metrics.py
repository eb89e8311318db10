"""What is counted and timed, for Prometheus.

Counters subscribe to events; `COUNTERS` says which event feeds which. Values that a label can
take are declared beforehand wherever they are finite, so that each series exists, at 0, from the
start: an alert on a rate needs the sample before the first event, not only after it.

No label can be driven by a client. A route is shown by its name and never by its path, an unknown
method is "other", and a label whose values are not known beforehand takes `MAX_VALUES` of them;
later ones are "other" too. There are no accounts, addresses or sessions in labels.

Each `Metrics` has a registry of its own, so that two limens in one process, or limen mounted in
an application with metrics of its own, do not meet. Workers of `limen serve` do: whichever is
asked shows what all have counted (`limen.telemetry.shared_metrics`).
"""

import fcntl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal, get_args

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from limen import __version__
from limen.events import (
    BreachCheckFailed,
    DatabaseFailed,
    EndReason,
    Event,
    HashingRefused,
    KeyCreated,
    LetterKind,
    LetterOutcome,
    LimitHit,
    PasswordHashed,
    Posted,
    Refreshed,
    RefreshOutcome,
    Registered,
    SessionEnded,
    SignIn,
    SignInOutcome,
)
from limen.telemetry.shared_metrics import everybodys, in_turn, shared_folder
from limen.verify.keyset import ALGORITHMS

OTHER: Final = "other"
MAX_VALUES: Final = (
    200  # of one label not known beforehand; an application has about this many routes
)

METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "WEBSOCKET"}
)


@dataclass(frozen=True, slots=True)
class Counted:
    """One counter: name, help, the event that feeds it, and the member that is its label."""

    name: str
    help: str
    event: type[Event]
    label: str | None = None
    values: tuple[str, ...] = ()


COUNTERS: Final = (
    Counted(
        "limen_sign_ins",
        "Attempts to sign in, by how they were decided.",
        SignIn,
        "outcome",
        get_args(SignInOutcome),
    ),
    Counted(
        "limen_refreshes",
        "Refresh tokens presented, by how they were decided.",
        Refreshed,
        "outcome",
        get_args(RefreshOutcome),
    ),
    Counted("limen_limits_hit", "Attempts refused by a limit.", LimitHit, "limit"),
    Counted(
        "limen_sessions_ended",
        "Sessions ended before their time, by reason.",
        SessionEnded,
        "reason",
        get_args(EndReason),
    ),
    Counted("limen_registrations", "Accounts registered.", Registered),
    Counted("limen_password_hashes", "Password hashes computed or verified.", PasswordHashed),
    Counted(
        "limen_password_queue_refused",
        "Hashes refused because the queue was full.",
        HashingRefused,
    ),
    Counted(
        "limen_breach_checks_failed",
        "New passwords that could not be looked up among those that leaked.",
        BreachCheckFailed,
    ),
    Counted("limen_database_failures", "Statements that could not be run.", DatabaseFailed, "kind"),
    Counted(
        "limen_keys_created", "Signing keys created.", KeyCreated, "algorithm", tuple(ALGORITHMS)
    ),
)

# Upper bounds in seconds. A hash takes some 15 to 500 ms; a token is verified in well under one.
HASH_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
QUEUE_BUCKETS: Final = (0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
REQUEST_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """Counts events and requests. `limits` are the names of the limits that may be hit."""

    def __init__(self, *, limits: Iterable[str] = (), version: str = __version__) -> None:
        self._registry = CollectorRegistry()
        self._folder = shared_folder()
        self._queue: Callable[[], float] = lambda: 0
        with in_turn(self._folder):
            self._declare(limits, version)

    def _declare(self, limits: Iterable[str], version: str) -> None:
        self._counters: dict[type[Event], _EventCounter] = {
            counted.event: _EventCounter(counted, self._registry, limits) for counted in COUNTERS
        }
        self._replays = self._counter("limen_replays", "Refresh tokens presented a second time.")
        self._letters = self._counter(
            "limen_outbox_letters", "Tries to deliver a letter of the outbox.", "kind", "outcome"
        )
        for kind, outcome in product(get_args(LetterKind), get_args(LetterOutcome)):
            self._letters.labels(kind, outcome)
        self._hashing = self._histogram(
            "limen_password_hash_seconds", "Time a password hash took.", HASH_BUCKETS
        )
        self._queueing = self._histogram(
            "limen_password_queue_seconds", "Time a password hash waited.", QUEUE_BUCKETS
        )
        self._waiting = self._gauge(
            "limen_password_queue_waiting", "Hashes waiting for a thread.", "livesum"
        )
        self._requests = self._counter(
            "limen_http_requests", "Requests answered.", "route", "method", "status"
        )
        self._durations = self._histogram(
            "limen_http_request_seconds", "Time to the end of the answer.", REQUEST_BUCKETS, "route"
        )
        self._routes = _Values()
        info = self._gauge("limen_build_info", "Always 1.", "livemax", "version")
        info.labels(version).set(1)

    def subscriber(self, event: Event) -> None:
        """Count the event; one that feeds no counter is ignored."""
        counter = self._counters.get(type(event))
        if counter is not None:
            counter.count(event)
        if isinstance(event, PasswordHashed):
            self._queueing.observe(event.waited)
            self._hashing.observe(event.took)
            self._waiting.set(self._queue())
        if isinstance(event, Posted):
            self._letters.labels(event.kind, event.outcome).inc()
        if isinstance(event, Refreshed) and event.outcome == "replayed":
            self._replays.inc()

    def observe_request(self, *, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answered request; `route` is the route's name, `seconds` what it took."""
        route = self._routes.bounded(route)
        shown = str(status) if 100 <= status <= 599 else OTHER  # noqa: PLR2004  RFC 9110, section 15
        self._requests.labels(route, bounded_method(method), shown).inc()
        self._durations.labels(route).observe(seconds)

    def watch_password_queue(self, waiting: Callable[[], float]) -> None:
        """Ask `waiting` how many hashes wait for a thread, whenever the metrics are read.

        Other workers cannot ask ours: for them it is asked whenever a hash is done, too.
        """
        self._queue = waiting

    def render(self) -> tuple[bytes, str]:
        """Return the metrics in Prometheus' text format, and its content type.

        Workers that are just being started or added up are waited for: not in an event loop.
        """
        self._waiting.set(self._queue())
        with in_turn(self._folder, fcntl.LOCK_SH):
            shown = self._registry if self._folder is None else everybodys(self._folder)
            return generate_latest(shown), CONTENT_TYPE_LATEST

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def _gauge(
        self, name: str, text: str, of_all: Literal["livesum", "livemax"], *labels: str
    ) -> Gauge:
        return Gauge(name, text, labels, registry=self._registry, multiprocess_mode=of_all)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self._registry)


def bounded_method(method: str) -> str:
    """Return the method if it is one that HTTP knows (RFC 9110), or "other"."""
    return method if method in METHODS else OTHER


class _Values:
    """The values that a label has taken, up to `MAX_VALUES` of them."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def bounded(self, value: str) -> str:
        if value not in self._known:
            if len(self._known) >= MAX_VALUES:
                return OTHER
            self._known.add(value)
        return value


class _EventCounter:
    def __init__(
        self, counted: Counted, registry: CollectorRegistry, limits: Iterable[str]
    ) -> None:
        self._label = counted.label
        self._values = _Values()
        labels = () if counted.label is None else (counted.label,)
        self._counter = Counter(counted.name, counted.help, labels, registry=registry)
        for value in limits if counted.label == "limit" else counted.values:
            self._counter.labels(self._values.bounded(value))

    def count(self, event: Event) -> None:
        if self._label is None:
            self._counter.inc()
        else:
            value = self._values.bounded(str(getattr(event, self._label)))
            self._counter.labels(value).inc()
