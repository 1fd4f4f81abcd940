"""Receipts gather for a moment, and leave together."""

from __future__ import annotations

from ctrlhub.client.receipts import ENOUGH, NEVER, PATIENCE, Receipts
from ctrlhub.wire.messages import Received, Stream


def test_a_few_wait() -> None:
    """The first receipt starts the time; those behind it do not prolong it."""
    receipts = Receipts()
    receipts.add(Stream.TASK, [(1, 1)], 1, False, 10.0)
    receipts.add(Stream.TASK, [(2, 2)], 1, False, 10.0 + PATIENCE / 2)
    assert receipts.due == 10.0 + PATIENCE
    assert receipts.take(1.0) == [(Stream.TASK, Received(((1, 1), (2, 2))))]
    assert receipts.due == NEVER
    assert receipts.take(1.0) == []


def test_many_are_due_at_once() -> None:
    """The hub holds results until it hears of them, so many do not wait."""
    receipts = Receipts()
    receipts.add(Stream.TASK, [(1, ENOUGH)], ENOUGH, False, 10.0)
    assert receipts.due == 10.0


def test_bulk_is_due_at_once() -> None:
    """A result with frames of its own may be large."""
    receipts = Receipts()
    receipts.add(Stream.MULTIENGINE, [(1, 1)], 1, True, 10.0)
    assert receipts.due == 10.0


def test_each_stream_for_itself() -> None:
    """What came by a stream is acknowledged there."""
    receipts = Receipts()
    receipts.add(Stream.TASK, [(1, 1)], 1, False, 0.0)
    receipts.add(Stream.MULTIENGINE, [(2, 2)], 1, False, 0.0)
    assert receipts.take(1.0) == [
        (Stream.TASK, Received(((1, 1),))),
        (Stream.MULTIENGINE, Received(((2, 2),))),
    ]


def test_one_stream_may_wait_for_longer() -> None:
    """Its results count as unacknowledged meanwhile."""
    receipts = Receipts()
    receipts.add(Stream.TASK, [(1, 1)], 1, False, 0.0)
    receipts.add(Stream.MULTIENGINE, [(2, 4), (6, 6)], 4, True, 0.0)
    assert receipts.take(1.0, Stream.MULTIENGINE) == [(Stream.TASK, Received(((1, 1),)))]
    assert receipts.count == 4
    assert receipts.due == 1.0 + PATIENCE
    assert receipts.take(2.0) == [(Stream.MULTIENGINE, Received(((2, 4), (6, 6))))]
    assert (receipts.count, receipts.due) == (0, NEVER)
