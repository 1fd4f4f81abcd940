"""Acknowledgements gather for a moment, and leave together."""

from __future__ import annotations

from ctrlhub.controller.core.acknowledgements import ENOUGH, PATIENCE, Acknowledgements
from ctrlhub.controller.core.effects import Connection, Send
from ctrlhub.wire.messages import Accepted, Stored, Stream

ONE = Connection(0, Stream.TASK, b"one")
OTHER = Connection(0, Stream.TASK, b"other")


def test_neighbours_leave_as_one_range() -> None:
    """Single acknowledgements of consecutive requests become one range, when it is time."""
    box = Acknowledgements()
    for number in (5, 6, 7, 9):
        assert box.add(Send(ONE, Accepted(((number, number),))), 10.0) is None
    assert box.tick(10.0 + PATIENCE / 2) == []
    assert box.tick(10.0 + PATIENCE) == [Send(ONE, Accepted(((5, 7), (9, 9))))]
    assert box.next_deadline() is None


def test_each_connection_and_kind_for_itself() -> None:
    """What goes to another peer, or says something else, is another message."""
    box = Acknowledgements()
    box.add(Send(ONE, Accepted(((1, 1),))), 0.0)
    box.add(Send(OTHER, Accepted(((2, 2),))), 0.0)
    box.add(Send(ONE, Stored(((3, 3),))), 0.0)
    assert box.tick(1.0) == [
        Send(ONE, Accepted(((1, 1),))),
        Send(OTHER, Accepted(((2, 2),))),
        Send(ONE, Stored(((3, 3),))),
    ]


def test_many_leave_at_once() -> None:
    """Enough requests do not wait for the time."""
    box = Acknowledgements()
    assert box.add(Send(ONE, Accepted(((1, 1),))), 0.0) is None
    whole = box.add(Send(ONE, Accepted(((2, ENOUGH),))), 0.0)
    assert whole == Send(ONE, Accepted(((1, ENOUGH),)))
    assert box.tick(1.0) == []


def test_what_a_refusal_must_not_overtake() -> None:
    """One connection's acknowledgements can be taken ahead of time; the others stay."""
    box = Acknowledgements()
    box.add(Send(ONE, Accepted(((1, 1),))), 0.0)
    box.add(Send(OTHER, Accepted(((2, 2),))), 0.0)
    assert box.of(ONE) == [Send(ONE, Accepted(((1, 1),)))]
    assert box.tick(1.0) == [Send(OTHER, Accepted(((2, 2),)))]
