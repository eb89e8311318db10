"""What happened is told to everybody who asked, whatever becomes of one of them."""

import logging
import re
from dataclasses import fields
from typing import get_args

import pytest

from limen import events
from limen.audit import KINDS
from limen.events import Event, Events, Registered
from tests.test_docs import DOCS, rows

PAGE = DOCS / "events.md"


def test_a_subscriber_that_fails_keeps_nothing_from_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[Event] = []

    def failing(event: Event) -> None:
        raise RuntimeError(event)

    with caplog.at_level(logging.ERROR, "limen"):
        Events(failing, heard.append).emit(Registered("u-1"))

    assert heard == [Registered("u-1")]
    assert [record.message for record in caplog.records] == ["a subscriber failed"]


def test_who_subscribes_later_hears_what_comes_later() -> None:
    heard: list[Event] = []
    emitter = Events()
    emitter.emit(Registered("u-1"))
    emitter.subscribe(heard.append)
    emitter.emit(Registered("u-2"))

    assert heard == [Registered("u-2")]


KINDS_OF_EVENTS = {
    name: kind
    for name, kind in vars(events).items()
    if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
}


def test_the_page_on_events_has_them_all_with_their_members_and_names() -> None:
    shown = {}
    for event, members, recorded, _ in rows(PAGE, "## Every event"):
        shown[event.strip("`")] = (re.findall(r"`(\w+)`", members), recorded.strip("`–"))

    assert shown == {
        name: ([field.name for field in fields(kind)], KINDS.get(kind, ("", None))[0])
        for name, kind in KINDS_OF_EVENTS.items()
    }


def test_the_page_on_events_has_every_change_of_an_account() -> None:
    section = PAGE.read_text("utf-8").split("## Changes of an account")[1].split("\n## ")[0]

    assert {*re.findall(r"`([a-z_]+)`", section)} == {*get_args(events.Change)}


def test_the_page_on_events_has_every_outcome() -> None:
    text = PAGE.read_text("utf-8")
    words = (events.SignInOutcome, events.RefreshOutcome, events.Purpose)

    assert [word for words in words for word in get_args(words) if f"`{word}`" not in text] == []
