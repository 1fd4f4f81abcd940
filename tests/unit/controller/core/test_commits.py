"""Commits gather, and go to the store as one."""

from __future__ import annotations

from ctrlhub.controller.core.commits import ENOUGH, Commits
from ctrlhub.controller.core.effects import (
    Acknowledge,
    Commit,
    Connection,
    Forget,
    SaveRequests,
    SaveResults,
    Send,
)
from ctrlhub.wire.messages import Accepted, Stored, Stream

ONE = Connection(0, Stream.TASK, b"one")
OTHER = Connection(0, Stream.TASK, b"other")


def accepted(connection: Connection, number: int) -> Commit:
    """Return the commit of a request."""
    return Commit(
        (SaveRequests([(number, "request")]),), (Acknowledge(connection, Accepted, [number]),)
    )


def test_they_become_one() -> None:
    """Commits of consecutive requests make one of each: operation, and message."""
    box = Commits()
    for number in (5, 6, 7, 9):
        assert box.add(accepted(ONE, number)) is False
    assert box.take() == Commit(
        (SaveRequests([(n, "request") for n in (5, 6, 7, 9)]),),
        (Acknowledge(ONE, Accepted, [5, 6, 7, 9]),),
    )
    assert len(box) == 0


def test_each_connection_and_kind_for_itself() -> None:
    """What goes to another peer, or says something else, is another message."""
    box = Commits()
    box.add(accepted(ONE, 1))
    box.add(accepted(OTHER, 2))
    box.add(Commit((), (Acknowledge(ONE, Stored, [3]),)))
    assert box.take().then == (
        Acknowledge(ONE, Accepted, [1]),
        Acknowledge(OTHER, Accepted, [2]),
        Acknowledge(ONE, Stored, [3]),
    )


def test_what_is_forgotten_is_forgotten_last() -> None:
    """Its request and its result may have come in the same moment."""
    box = Commits()
    box.add(accepted(ONE, 1))
    box.add(Commit((SaveResults([(1, "result")]),), ()))
    box.add(Commit((Forget(((1, 1),)),), ()))
    box.add(accepted(ONE, 2))
    assert box.take().operations == (
        SaveRequests([(1, "request"), (2, "request")]),
        SaveResults([(1, "result")]),
        Forget(((1, 1),)),
    )


def test_enough_do_not_wait() -> None:
    """Whoever adds the last of many is told so."""
    box = Commits()
    assert not any(box.add(accepted(ONE, number)) for number in range(1, ENOUGH))
    assert box.add(accepted(ONE, ENOUGH))
    [acknowledgement] = box.take().then
    assert acknowledgement.send() == Send(ONE, Accepted(((1, ENOUGH),)))
