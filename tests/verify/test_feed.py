"""The feed is believed as far as it is well-formed, and never taken for newer than it is."""

from collections.abc import Iterator
from typing import Any

import pytest

from limen.verify import feed
from limen.verify.feed import FeedReader
from limen.verify.fetching import Unreachable
from tests.verify.elsewhere import FEED, Elsewhere, answering, elsewhere

ENTRY = {"seq": 1, "kind": "session", "subject": "x", "value": 0, "expires_at": 2_000_000_000}
PAGE = {"entries": [ENTRY], "seq": 1, "mark": "1-x", "complete": True, "age": 0.5, "waited": 0.0}


@pytest.fixture
def issuer() -> Iterator[Elsewhere]:
    with elsewhere() as issuer:
        yield issuer


class Watch:
    """A monotonic clock that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def reader(issuer: Elsewhere) -> FeedReader:
    return FeedReader(issuer.url, Watch())


def questions(issuer: Elsewhere, *pages: dict[str, Any]) -> list[str]:
    """Answer these pages one after another; return the list that the questions are put into."""
    left, asked = [*pages], list[str]()

    def answer(handler: Any) -> None:
        asked.append(handler.path.partition("?")[2])
        page = left.pop(0)
        answering(page or b"", 200 if page else 503)(handler)

    issuer.answers[FEED] = answer
    return asked


def test_each_question_begins_where_the_last_answer_ended(
    issuer: Elsewhere, reader: FeedReader
) -> None:
    part, restored = PAGE | {"complete": False}, PAGE | {"seq": 0, "mark": "", "entries": []}
    seven = PAGE | {"seq": 7, "mark": "7-a&b=ü"}
    asked = questions(issuer, part, seven, restored, {}, PAGE)
    for _ in range(3):
        reader.read()
    with pytest.raises(Unreachable):
        reader.read()
    reader.read()

    assert asked == [
        "after=0&mark=&wait=0",
        "after=1&mark=1-x&wait=0",
        "after=7&mark=7-a%26b%3D%C3%BC&wait=5",
        "after=0&mark=&wait=5",  # the number of a restored log is taken as it is
        "after=0&mark=&wait=0",  # after a failure nobody waits
    ]


@pytest.mark.parametrize(
    ("page", "headers", "took", "age"),
    [
        (PAGE, {}, 0.0, 0.5),
        (PAGE, {}, 2.0, 2.5),
        (PAGE | {"waited": 4.0}, {}, 5.0, 1.5),
        (PAGE | {"waited": 4}, {}, 1.0, 0.5),  # who exaggerates his waiting gains nothing
        (PAGE, {"Age": "60"}, 0.0, 60.5),
        (PAGE, {"Age": "-60"}, 0.0, 0.5),
    ],
)
def test_news_are_as_old_as_they_are_and_the_time_on_the_way(
    issuer: Elsewhere, page: dict[str, Any], headers: dict[str, str], took: float, age: float
) -> None:
    watch = Watch()
    reader = FeedReader(issuer.url, watch)

    def answer(handler: Any) -> None:
        watch.now += took
        answering(page, headers=headers)(handler)

    issuer.answers[FEED] = answer

    known_at = reader.read().known_at

    assert watch.now - known_at == pytest.approx(age)


MALFORMED: dict[str, Any] = {
    "no JSON": b"<html>",
    "nothing": b"",
    "a list": [],
    "null": None,
    "cut off": b'{"entries": [',
    "duplicate members": b'{"seq": 1, "seq": 2}',
    "an infinite age": b'{"entries":[],"seq":1,"mark":"","complete":true,"age":1e999,"waited":0}',
    "no age": {name: value for name, value in PAGE.items() if name != "age"},
    "a negative age": PAGE | {"age": -1},
    "a negative wait": PAGE | {"waited": -1},
    "an age in words": PAGE | {"age": "0"},
    "a negative number": PAGE | {"seq": -1},
    "a number too high": PAGE | {"seq": 2**63},
    "a long mark": PAGE | {"mark": "x" * 65},
    "no mark": PAGE | {"mark": None},
    "half complete": PAGE | {"complete": 1},
    "entries in words": PAGE | {"entries": "[]"},
    "an unknown kind": PAGE | {"entries": [ENTRY | {"kind": "pardon"}]},
    "one bad entry of two": PAGE | {"entries": [ENTRY, {}]},
    "an entry without an end": PAGE | {"entries": [ENTRY | {"expires_at": None}]},
    "a subject that is a number": PAGE | {"entries": [ENTRY | {"subject": 1}]},
    "too much": b" " * (feed.MAX_BYTES + 1),
}


@pytest.mark.parametrize("answer", MALFORMED.values(), ids=MALFORMED.keys())
def test_an_answer_with_a_fault_is_none(
    issuer: Elsewhere, reader: FeedReader, answer: object
) -> None:
    issuer.answers[FEED] = answering(answer)

    with pytest.raises(Unreachable):
        reader.read()


def test_a_feed_that_does_not_go_on_is_not_asked_for_ever(
    issuer: Elsewhere, reader: FeedReader
) -> None:
    issuer.answers[FEED] = answering(PAGE | {"complete": False})
    reader.read()

    with pytest.raises(Unreachable):
        reader.read()
