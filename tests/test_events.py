"""What happened is told to everybody who asked, whatever becomes of one of them."""

import logging

import pytest

from limen.events import Event, Events, Registered


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
    events = Events()
    events.emit(Registered("u-1"))
    events.subscribe(heard.append)
    events.emit(Registered("u-2"))

    assert heard == [Registered("u-2")]
