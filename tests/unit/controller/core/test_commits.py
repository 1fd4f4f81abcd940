"""Commits gather, and go to the store as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from ctrlhub.controller.core.commits import ENOUGH, LARGE_BYTES, LONGER, PATIENCE, Commits
from ctrlhub.controller.core.effects import (
    Acknowledge,
    Commit,
    Connection,
    Forget,
    SaveRequests,
    SaveResults,
    Send,
)
from ctrlhub.wire.messages import Accepted, Payload, Stored, Stream

ONE = Connection(0, Stream.TASK, b"one")
OTHER = Connection(0, Stream.TASK, b"other")


@dataclass(frozen=True)
class Request:
    """What counts of a request."""

    payload: Payload = b"small"


def accepted(connection: Connection, number: int, payload: Payload = b"small") -> Commit:
    """Return the commit of a request."""
    request: Any = Request(payload)
    return Commit(
        (SaveRequests([(number, request)]),), (Acknowledge(connection, Accepted, [number]),)
    )


def test_they_become_one() -> None:
    """Commits of consecutive requests make one of each: operation, and message."""
    box = Commits()
    for number in (5, 6, 7, 9):
        assert box.add(accepted(ONE, number), 0.0) is False
    assert box.take() == Commit(
        (SaveRequests([(n, Request()) for n in (5, 6, 7, 9)]),),
        (Acknowledge(ONE, Accepted, [5, 6, 7, 9]),),
    )
    assert len(box) == 0


def test_each_connection_and_kind_for_itself() -> None:
    """What goes to another peer, or says something else, is another message."""
    box = Commits()
    box.add(accepted(ONE, 1), 0.0)
    box.add(accepted(OTHER, 2), 0.0)
    box.add(Commit((), (Acknowledge(ONE, Stored, [3]),)), 0.0)
    assert box.take().then == (
        Acknowledge(ONE, Accepted, [1]),
        Acknowledge(OTHER, Accepted, [2]),
        Acknowledge(ONE, Stored, [3]),
    )


def test_what_is_forgotten_is_forgotten_last() -> None:
    """Its request and its result may have come in the same moment."""
    box = Commits()
    box.add(accepted(ONE, 1), 0.0)
    box.add(Commit((SaveResults([(1, "result")]),), ()), 0.0)
    box.add(Commit((Forget(((1, 1),)),), ()), 0.0)
    box.add(accepted(ONE, 2), 0.0)
    assert box.take().operations == (
        SaveRequests([(1, Request()), (2, Request())]),
        SaveResults([(1, "result")]),
        Forget(((1, 1),)),
    )


def test_enough_do_not_wait() -> None:
    """Whoever adds the last of many is told so."""
    box = Commits()
    assert not any(box.add(accepted(ONE, number), 0.0) for number in range(1, ENOUGH))
    assert box.add(accepted(ONE, ENOUGH), 0.0)
    [acknowledgement] = box.take().then
    assert acknowledgement.send() == Send(ONE, Accepted(((1, ENOUGH),)))


LARGE = (memoryview(bytes(LARGE_BYTES)),)


def test_what_is_large_waits_for_its_end() -> None:
    """It gathers for longer, with what comes meanwhile, until it has ended."""
    box = Commits()
    box.add(accepted(ONE, 1), 10.0)
    assert box.due == 10.0 + PATIENCE
    box.add(accepted(ONE, 2, LARGE), 10.01)
    longer = box.due
    assert 10.01 + PATIENCE < longer <= 10.01 + LONGER
    box.add(accepted(ONE, 3), 10.02)
    assert box.due == longer
    box.add(Commit((SaveResults([(2, "result")]),), ()), 10.03)
    assert box.due == 10.0 + PATIENCE
    box.take()
    box.add(accepted(ONE, 4), 20.0)
    assert box.due == 20.0 + PATIENCE


@pytest.mark.parametrize("buffers", [4, 400])
def test_nothing_waits_for_long(buffers: int) -> None:
    """However large it is."""
    box = Commits()
    box.add(accepted(ONE, 1, LARGE * buffers), 0.0)
    assert PATIENCE < box.due <= LONGER
