"""A session in virtual time: the client's real rules, the server's rule, and a bad network.

Processes share one store. Each is the real state machine, `limen.client.keeper`, resumed whenever
its pause is over or its answer is there. The server is `tests.rotation_model.decide`, which is
proven to be limen's own statement. Between them, by chance:

    lost        requests 5 %, answers 10 %
    doubled     requests 10 %: the second one arrives on its own, before or after the first
    delayed     10 % of all messages by up to 25 seconds, so that they overtake one another; who
                has given up after 10 seconds has lost the answer
    refused     5 % of requests with 503
    killed      2 % of processes, in the middle of a refresh
    misled      1 % of rounds set the wall clock of the machine by up to a day

A thief may copy the store at any moment, and go on with what he has, by the rules.
"""

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from limen.client.calls import Answer, Call, Pause, Steps
from limen.client.errors import LimenUnavailable, NotSignedIn, SignedOut
from limen.client.keeper import Keeper
from limen.client.stores import Kept, MemoryStore, Tokens
from limen.refresh import Outcome
from tests.rotation_model import WINDOW, Row, decide

URL = "https://limen.test"
LIFETIME = 1800
TIMEOUT = 10.0
SLOWEST = 25.0
DAY = 86400.0

_HANDED_OUT = {Outcome.ROTATE, Outcome.COALESCE, Outcome.SAME_SUCCESSOR, Outcome.FAST_FORWARD}


def _refusal(status: int, code: str) -> Answer:
    return Answer(status, document={"code": code})


class Server:
    """One session, as limen keeps it."""

    def __init__(self) -> None:
        self.row, self.handed_at = Row(), -DAY
        self.seen: Counter[str] = Counter()
        self._access = count(1)

    def __call__(self, call: Call, now: float) -> Answer:
        age = int(now - self.handed_at)
        outcome, self.row = decide(
            self.row._replace(age=age),
            int(call.body["refresh_token"]),
            call.headers["Idempotency-Key"],
            WINDOW,
        )
        if outcome in _HANDED_OUT and self.row.age == 0:
            self.handed_at = now
        self.seen[outcome.name.lower() if outcome else "ended"] += 1
        if outcome is Outcome.SUPERSEDED:
            return _refusal(409, "refresh_superseded")
        if outcome not in _HANDED_OUT:
            return _refusal(401, "invalid_refresh_token")
        pair = {"access_token": f"access {next(self._access)}", "refresh_token": str(self.row.gen)}
        return Answer(200, document={**pair, "expires_in": LIFETIME})


def a_store() -> MemoryStore:
    store = MemoryStore()
    tokens = Tokens("access 0", "0", received_at=0.0, expires_in=LIFETIME, account="ada")
    store.save(Kept(tokens, issuer=URL))
    return store


class World:
    """Runs processes of one machine, and what they send, in the order of virtual time."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        random.seed(seed)  # the client's own pauses vary, too
        self.now = 0.0
        self.clock_is_off = 0.0
        self.server, self.store = Server(), a_store()
        self.seen: Counter[str] = Counter()
        self.signed_out: list[str] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def clock(self) -> float:
        """Return what this machine takes for the time."""
        return self.now + self.clock_is_off

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._order), do))

    def run(self, until: Callable[[], bool]) -> None:
        while not until():
            self.now, _, do = heapq.heappop(self._events)
            do()

    def start(self, name: str, store: MemoryStore | None = None) -> None:
        """Start a process that needs an access token now and then."""
        process = Process(self, name, store or self.store)
        self.after(self.random.uniform(0, LIFETIME), process.begin)

    def send(self, call: Call, answered: Callable[[Answer], None]) -> None:
        """Let a request travel, and its answer."""
        chance = self.random.random
        if chance() >= 0.05:
            self.after(self._delay(), lambda: self._arrive(call, answered))
        else:
            self.seen["request lost"] += 1
        if chance() < 0.10:
            self.seen["request doubled"] += 1
            self.after(self._delay(), lambda: self._arrive(call, answered))

    def _arrive(self, call: Call, answered: Callable[[Answer], None]) -> None:
        unavailable = self.random.random() < 0.05
        if unavailable:
            answer = Answer(503, {"retry-after": str(self.random.randint(1, 3))})
        else:
            answer = self.server(call, self.now)
        self.seen[str(answer.status)] += 1
        if self.random.random() < 0.10:
            self.seen["answer lost"] += 1
            return
        self.after(self._delay(), lambda: answered(answer))

    def _delay(self) -> float:
        if self.random.random() < 0.10:
            self.seen["delayed"] += 1
            return self.random.uniform(0, SLOWEST)
        return self.random.uniform(0.001, 0.1)


@dataclass(slots=True)
class Process:
    """Needs a token, gets it by the client's rules, waits a while, and again."""

    world: World
    name: str
    store: MemoryStore
    keeper: Keeper | None = None
    steps: Steps[Tokens] | None = None
    turn: int = 0

    def begin(self) -> None:
        world = self.world
        if world.random.random() < 0.01:
            world.seen["clock set"] += 1
            world.clock_is_off = world.random.uniform(-DAY, DAY)
        self.keeper = self.keeper or Keeper(URL, self.store, None, world.clock)
        kept = self.store.load().tokens
        # Now and then a service says 401, though the token looks good.
        is_refused = kept is not None and world.random.random() < 0.05
        self.steps = self.keeper.tokens(kept.access_token if kept and is_refused else None)
        self._resume(None)

    def _resume(self, answer: Answer | None) -> None:
        assert self.steps is not None
        self.turn += 1
        try:
            step = self.steps.send(answer)
        except StopIteration:
            self._rest("served")
        except SignedOut:
            self._end("signed out")
        except NotSignedIn:
            self._end("finds nobody signed in")
        except LimenUnavailable:
            self._rest("unavailable")
        else:
            self._do(step, self.turn)

    def _do(self, step: Call | Pause, turn: int) -> None:
        def go_on(answer: Answer | None) -> None:
            if turn == self.turn:  # else it has given up on this
                self._resume(answer)

        if isinstance(step, Pause):
            self.world.after(step.seconds, lambda: go_on(None))
            return
        self.world.send(step, go_on)
        self.world.after(TIMEOUT, lambda: go_on(Answer(0, why="timeout")))
        if self.world.random.random() < 0.02:
            self.world.after(self.world.random.uniform(0, 1), lambda: self._kill(turn))

    def _kill(self, turn: int) -> None:
        """Die without a word; the system gives the lock back. Another one takes its place."""
        if turn == self.turn and self.steps is not None:
            self.steps.close()
            self.keeper = None
            self._rest("killed")

    def _rest(self, what: str) -> None:
        self.turn += 1
        self.world.seen[what] += 1
        longest = self.world.random.choice((5.0, 60.0, LIFETIME, 2 * LIFETIME))
        self.world.after(self.world.random.uniform(0, longest), self.begin)

    def _end(self, what: str) -> None:
        self.turn += 1
        self.world.seen[what] += 1
        self.world.signed_out.append(self.name)


def steal(world: World) -> MemoryStore:
    """Copy everything that the owner's store holds, a retry key that waits there included."""
    stolen = MemoryStore()
    stolen.save(world.store.load())
    return stolen
