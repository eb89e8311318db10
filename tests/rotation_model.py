"""The rule of refresh rotation as a small world, explored exhaustively.

The world is one session. Its owner is a browser: two tabs that share one store. Between them and
the server lies a network that loses, delays, doubles and reorders requests and answers. Time
passes in long steps, each longer than every window; no message survives one, which is why the
window must be twice as long as a message may be on its way. A thief may copy the whole store
once, at any moment, and his own messages arrive at once. The database may be set back once to an
earlier state, as when a backup is restored or a lagging replica takes over.

`decide` is the rule; tests/test_rotation_model.py proves that limen's SQL statement is the same
function. `explore` visits every state that can be reached and looks for three calamities:

    honest sign-out   the owner is refused although nothing was stolen
    unnoticed theft   owner and thief got new tokens by turns, each of them twice
    thief stays       the owner is refused, the session goes on, and the thief's token works

Not being able to reach one is a proof within the bounds; reaching one comes with the way there.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, NamedTuple

from limen.refresh import Outcome

LONG = 100  # seconds; any number above the window
WINDOW = 60
TURNS = 4

Calamity = Literal["honest sign-out", "unnoticed theft", "thief stays"]


class Row(NamedTuple):
    """What the database knows of the session; `age` is seconds since `gen` was handed out."""

    gen: int = 0
    retry_key: str | None = None
    age: int = LONG
    confirmed: bool = True
    ended: bool = False


def decide(row: Row, k: int, key: str | None, window: int) -> tuple[Outcome | None, Row]:
    """Present generation `k`: what comes of it, and the row afterwards. None: no live session."""
    if row.ended:
        return None, row
    just_now = abs(row.age) < window
    predecessor = k == row.gen - 1
    unused = key is not None and not row.confirmed
    if k > row.gen:
        outcome = Outcome.FAST_FORWARD
    elif k == row.gen:
        outcome = Outcome.COALESCE if just_now else Outcome.ROTATE
    elif predecessor and key == row.retry_key and (just_now or unused):
        outcome = Outcome.SAME_SUCCESSOR
    elif predecessor and key is not None and just_now:
        outcome = Outcome.SUPERSEDED
    else:
        outcome = Outcome.REPLAY
    return outcome, _after(outcome, row, k, key)


def _after(outcome: Outcome, row: Row, k: int, key: str | None) -> Row:
    match outcome:
        case Outcome.FAST_FORWARD:
            return Row(k, None, 0, confirmed=True)
        case Outcome.ROTATE:
            return Row(row.gen + 1, key, 0, confirmed=False)
        case Outcome.COALESCE:
            return row._replace(confirmed=True)
        case Outcome.SAME_SUCCESSOR if key is not None and not row.confirmed:
            return row._replace(age=0)
        case Outcome.REPLAY:
            return row._replace(ended=True)
        case _:
            return row


class Keys(Enum):
    """What an owner sends as Idempotency-Key."""

    NONE = "no key"
    STORED = "a key kept in the store beside the token, the same for both tabs"
    OF_EACH_TAB = "a key of each tab's own"


class Setback(Enum):
    """What setting the database back once may look like."""

    NONE = "never"
    AT_ONCE = "a replica takes over while messages are on their way"
    REOPENED = "the same, and every session counts as handed out just then"
    AFTER_A_PAUSE = "a backup is restored while limen is stopped for longer than the window"


@dataclass(frozen=True, slots=True)
class Setting:
    """One world to explore, and how far."""

    keys: Keys
    grace: int = 0
    theft: bool = False
    setback: Setback = Setback.NONE
    generations: int = 4
    long_steps: int = 3
    on_the_way: int = 3


class Message(NamedTuple):
    """A request of a tab, or (`outcome` or `refused`) the answer to one."""

    tab: int
    sent: int
    key: str | None
    answered: bool = False
    got: int | None = None
    refused: bool = False


class Thief(NamedTuple):
    """What the thief holds: a token, and the retry keys that lay beside it."""

    token: int
    keys: frozenset[str] = frozenset()


class World(NamedTuple):
    """Everything there is at one moment."""

    row: Row = Row()
    token: int = 0  # in the owner's store
    pending: bool = False  # the store holds the key of a refresh of this token, too
    waiting: tuple[bool, bool] = (False, False)
    network: tuple[Message, ...] = ()
    step: int = 0
    refused: bool = False
    thief: Thief | None = None
    granted: int = 0  # the newest that the server gave the owner, whether or not it arrived
    gains: str = ""  # who was given new tokens since the theft: "OTO" is owner, thief, owner
    backup: Row | None = None
    set_back: bool = False


@dataclass(slots=True)
class Found:
    """How many states there are, and the ways to the calamities among them."""

    states: int = 0
    ways: dict[Calamity, list[str]] = field(default_factory=dict)


def explore(setting: Setting) -> Found:
    """Visit every state that can be reached."""
    start, found = World(), Found()
    came_from: dict[World, tuple[World, str] | None] = {start: None}
    todo = deque([start])
    while todo:
        world = todo.popleft()
        for calamity in _calamities(world):
            found.ways.setdefault(calamity, _way(world, came_from))
        if world.refused or world.row.ended or world.token >= setting.generations:
            continue
        for label, following in _moves(world, setting):
            if following not in came_from:
                came_from[following] = (world, label)
                todo.append(following)
    found.states = len(came_from)
    return found


def _calamities(world: World) -> Iterator[Calamity]:
    thief, ended = world.thief, world.row.ended
    if thief is None:
        if world.refused or ended:
            yield "honest sign-out"
        return
    if len(world.gains) >= TURNS and not ended:
        yield "unnoticed theft"
    if world.refused and "T" in world.gains and not ended and thief.token >= world.row.gen - 1:
        yield "thief stays"


def _way(world: World, came_from: dict[World, tuple[World, str] | None]) -> list[str]:
    labels = []
    while (step := came_from[world]) is not None:
        world, label = step
        labels.append(label)
    return labels[::-1]


def _moves(world: World, setting: Setting) -> Iterator[tuple[str, World]]:
    yield from _tabs(world, setting)
    yield from _network(world, setting)
    if world.step < setting.long_steps:
        yield "a long time passes", _long(world)
    if setting.setback is not Setback.NONE:
        yield from _database(world, setting.setback)
    if setting.theft:
        yield from _thief(world, setting)


def _tabs(world: World, setting: Setting) -> Iterator[tuple[str, World]]:
    for tab in (0, 1):
        if world.waiting[tab]:
            yield (
                f"tab {tab} gives up",
                world._replace(waiting=_with(world.waiting, tab, now=False)),
            )
        elif len(world.network) < setting.on_the_way:
            request = Message(tab, world.token, _owners_key(setting.keys, world.token, tab))
            yield (
                f"tab {tab} sends {world.token}",
                world._replace(
                    waiting=_with(world.waiting, tab, now=True),
                    pending=world.pending or setting.keys is Keys.STORED,
                    network=_sent(world.network, request),
                ),
            )


def _network(world: World, setting: Setting) -> Iterator[tuple[str, World]]:
    """Deliver any message; what is never delivered before a long step is lost."""
    for message in dict.fromkeys(world.network):
        rest = list(world.network)
        rest.remove(message)
        if message.answered:
            yield _received(world._replace(network=tuple(rest)), message)
            continue
        outcome, row = _serve(world.row, message.sent, message.key, setting)
        answer = message._replace(
            answered=True,
            got=row.gen if _hands_out(outcome) else None,
            refused=outcome in (None, Outcome.REPLAY),
        )
        label = f"tab {message.tab}'s {message.sent} arrives: {_named(outcome)}"
        after = world._replace(row=row)
        if _hands_out(outcome) and row.gen > world.granted:
            after = _gained(after._replace(granted=row.gen), "O")
        yield label, after._replace(network=_sent(tuple(rest), answer))
        if len(world.network) < setting.on_the_way:
            yield (
                f"{label}, and is doubled",
                after._replace(network=_sent(world.network, answer)),
            )


def _received(world: World, answer: Message) -> tuple[str, World]:
    """Do what a client must: never go back to an older token, ignore refusals of old ones."""
    tab, token = answer.tab, answer.got
    world = world._replace(waiting=_with(world.waiting, tab, now=False))
    if token is None:
        if answer.refused and answer.sent == world.token:
            return f"tab {tab} is refused for {answer.sent}", world._replace(refused=True)
        return f"tab {tab} reads the store again", world
    if token <= world.token:
        return f"tab {tab} keeps what is stored", world
    return f"tab {tab} stores {token}", world._replace(token=token, pending=False)


def _long(world: World) -> World:
    backup = world.backup and world.backup._replace(age=LONG)
    return world._replace(
        row=world.row._replace(age=LONG),
        backup=backup,
        waiting=(False, False),
        network=(),
        step=world.step + 1,
    )


def _database(world: World, setback: Setback) -> Iterator[tuple[str, World]]:
    if world.backup is None:
        yield "(a backup is taken)", world._replace(backup=world.row)
    elif not world.set_back:
        # What was gained until now belongs to a history that is no more.
        back = world._replace(row=world.backup, set_back=True, gains="")
        if setback is Setback.REOPENED:
            back = back._replace(row=back.row._replace(age=0))
        elif setback is Setback.AFTER_A_PAUSE:
            back = _long(back)._replace(step=world.step)
        yield "THE DATABASE IS SET BACK", back


def _thief(world: World, setting: Setting) -> Iterator[tuple[str, World]]:
    thief = world.thief
    if thief is None:
        seen = {_owners_key(setting.keys, world.token, tab) for tab in (0, 1)}
        keys = frozenset(key for key in seen if key and world.pending)
        yield f"THE THIEF COPIES {world.token}", world._replace(thief=Thief(world.token, keys))
        return
    if thief.token >= setting.generations:
        return
    for key in {None, f"thief {thief.token}"} | thief.keys:
        outcome, row = _serve(world.row, thief.token, key, setting)
        after = world._replace(row=row)
        if _hands_out(outcome) and row.gen > thief.token:
            after = _gained(after._replace(thief=Thief(row.gen)), "T")
        label = f"the thief presents {thief.token} with {key or 'no key'}: {_named(outcome)}"
        yield label, after


def _gained(world: World, who: str) -> World:
    if world.thief is None or world.gains.endswith(who) or len(world.gains) >= TURNS:
        return world
    return world._replace(gains=world.gains + who)


def _serve(row: Row, k: int, key: str | None, setting: Setting) -> tuple[Outcome | None, Row]:
    return decide(row, k, key, setting.grace if key is None else WINDOW)


def _hands_out(outcome: Outcome | None) -> bool:
    return outcome not in (None, Outcome.SUPERSEDED, Outcome.REPLAY)


def _named(outcome: Outcome | None) -> str:
    return "the session has ended" if outcome is None else outcome.name.lower().replace("_", " ")


def _owners_key(keys: Keys, token: int, tab: int) -> str | None:
    return {
        Keys.NONE: None,
        Keys.STORED: f"owner {token}",
        Keys.OF_EACH_TAB: f"tab {tab} {token}",
    }[keys]


def _with(waiting: tuple[bool, bool], tab: int, *, now: bool) -> tuple[bool, bool]:
    return (now, waiting[1]) if tab == 0 else (waiting[0], now)


def _sent(network: tuple[Message, ...], message: Message) -> tuple[Message, ...]:
    return tuple(sorted((*network, message), key=repr))  # in no order, so in one
