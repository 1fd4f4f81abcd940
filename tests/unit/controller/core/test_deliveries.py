"""Deliveries: results on their way, kept until they have arrived."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from ctrlhub.controller.core import deliveries as module
from ctrlhub.controller.core.deliveries import Deliveries, Outcome
from ctrlhub.controller.core.effects import Outbox
from ctrlhub.controller.core.sessions import Session
from ctrlhub.wire.codec import decode, encode, resolve
from ctrlhub.wire.limits import BATCH_ROWS, INLINE_BYTES, MAX_FRAMES
from ctrlhub.wire.messages import Completed, Stream
from tests.support.records import a_session, sent


class Desk:
    """Deliveries on the task stream, and what they send."""

    def __init__(self) -> None:
        self.outbox = Outbox()
        self.deliveries = Deliveries(Stream.TASK, self.outbox, lambda: 7)

    def flush(self) -> list[Completed]:
        """Return the messages that a turn sends; each can be read at the other end."""
        self.deliveries.flush()
        self.deliveries.check()
        messages = [m for m in sent(self.outbox) if isinstance(m, Completed)]
        for message in messages:
            frames = encode(message)
            decode(frames[0], frames[1:])
        return messages

    def ids(self) -> list[int]:
        """Return the ids that a turn sends."""
        return [row[0] for message in self.flush() for row in message.rows]


@pytest.fixture
def desk() -> Desk:
    """A desk with nothing on it."""
    return Desk()


def an_outcome(number: int, payload: Any = b"value", extras: Any = None) -> Outcome:
    """Return a result."""
    return (number, 0, payload, 0, 0.0, 0.0, extras)


def test_results_leave_together_with_the_turn(desk: Desk) -> None:
    """Those of one client as one message, in order; the next turn sends nothing again."""
    one, two = a_session(), a_session()
    for n in (1, 2, 3):
        desk.deliveries.add(one if n != 2 else two, an_outcome(n))
    assert [[row[0] for row in message.rows] for message in desk.flush()] == [[1, 3], [2]]
    assert desk.flush() == []
    assert len(desk.deliveries) == 3


def test_an_acknowledged_result_is_forgotten(desk: Desk) -> None:
    """Once; a second acknowledgement, or one for another's result, finds nothing."""
    session, other = a_session(), a_session()
    desk.deliveries.add(session, an_outcome(1))
    desk.flush()
    assert desk.deliveries.received(other, ((1, 1),)) == []
    assert desk.deliveries.received(session, ((1, 1), (1, 1), (0, 5))) == [an_outcome(1)]
    assert desk.deliveries.received(session, ((1, 1),)) == []
    assert len(desk.deliveries) == 0
    desk.deliveries.check()


def test_a_result_that_waits_is_found_without_a_walk(desk: Desk) -> None:
    """However many wait: questions about all of them would take the square of that."""

    class Line(deque[Outcome]):
        """Cannot be gone through."""

        def __iter__(self) -> Iterator[Outcome]:
            raise AssertionError("walked")

    session = a_session()
    for number in range(1, 4):
        desk.deliveries.add(session, an_outcome(number))
    client = desk.deliveries._clients[session.number]
    client.unsent = Line(tuple(client.unsent))
    assert desk.deliveries.find(session, 3) == an_outcome(3)
    assert desk.deliveries.find(session, 4) is None


def test_what_was_not_sent_cannot_be_acknowledged(desk: Desk) -> None:
    """An acknowledgement before the result changes nothing."""
    session = a_session()
    desk.deliveries.add(session, an_outcome(1))
    assert desk.deliveries.received(session, ((1, 1),)) == []
    assert desk.ids() == [1]


def test_without_a_connection_results_wait(desk: Desk) -> None:
    """Until the client is back, which begins anew with all that it has not acknowledged."""
    session = a_session()
    desk.deliveries.add(session, an_outcome(1))
    assert desk.ids() == [1]
    connection = session.connections.pop(Stream.TASK)
    desk.deliveries.add(session, an_outcome(2))
    assert desk.ids() == []
    session.connections[Stream.TASK] = connection
    desk.deliveries.send_again(session)
    assert desk.ids() == [1, 2]
    desk.deliveries.send_again(a_session())
    assert desk.ids() == []


def test_a_client_that_does_not_read_gets_a_window(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest waits, and follows as it acknowledges."""
    monkeypatch.setattr(module, "WINDOW_ROWS", 10)
    monkeypatch.setattr(module, "BATCH_ROWS", 5)
    session = a_session()
    for n in range(30):
        desk.deliveries.add(session, an_outcome(n))
    assert desk.ids() == list(range(10))
    assert desk.ids() == []
    desk.deliveries.received(session, ((0, 3),))
    assert desk.ids() == list(range(10, 15))
    desk.deliveries.received(session, ((0, 29),))
    assert desk.ids() == list(range(15, 25))


@pytest.mark.parametrize("payload", [(bytes(600),), (bytes(300), bytes(300))])
def test_the_window_counts_bulk_bytes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, payload: Any
) -> None:
    """Large results are bounded by their bytes; the one that reaches the bound still goes."""
    monkeypatch.setattr(module, "WINDOW_BYTES", 1000)
    session = a_session()
    for n in range(4):
        desk.deliveries.add(session, an_outcome(n, payload))
    assert desk.ids() == [0, 1]
    assert desk.ids() == []
    desk.deliveries.received(session, ((0, 0),))
    assert desk.ids() == [2]
    desk.deliveries.received(session, ((0, 2),))
    assert desk.ids() == [3]


def test_the_window_counts_what_travels_in_headers(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small values and output, of which many make as much as few large ones."""
    monkeypatch.setattr(module, "WINDOW_BYTES", 1000)
    monkeypatch.setattr(module, "BATCH_BYTES", 1)
    session = a_session()
    for n in range(4):
        desk.deliveries.add(session, an_outcome(n, bytes(300), {"stdout": "x" * 300}))
    assert desk.ids() == [0, 1]
    assert desk.ids() == []
    desk.deliveries.repeat(session, an_outcome(0, b"", None))
    desk.deliveries.received(session, ((0, 1),))
    assert desk.ids() == [2, 3]
    desk.deliveries.received(session, ((2, 3),))
    assert desk.ids() == [0]


def test_large_results_do_not_close_the_window_for_ever(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is acknowledged makes room, in whatever form the result came from its engine."""
    monkeypatch.setattr(module, "WINDOW_BYTES", 3 * INLINE_BYTES)
    session = a_session()
    for n in range(50):
        payload = bytes(INLINE_BYTES + 1) if n % 2 else (bytes(INLINE_BYTES + 1),)
        desk.deliveries.add(session, an_outcome(n, payload))
    arrived: list[int] = []
    while batch := desk.ids():
        arrived += batch
        desk.deliveries.received(session, ((0, 99),))
    assert arrived == list(range(50))


def test_a_reconnection_does_not_close_the_window(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent again counts once."""
    monkeypatch.setattr(module, "WINDOW_BYTES", 1000)
    session = a_session()
    desk.deliveries.add(session, an_outcome(1, (bytes(900),)))
    for _ in range(5):
        assert desk.ids() == [1]
        desk.deliveries.send_again(session)
    desk.deliveries.add(session, an_outcome(2, (bytes(50),)))
    assert desk.ids() == [1, 2]


def test_messages_stay_within_the_limits(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """By rows, by inline bytes, by what was printed, and by frames; each can be read."""
    session = a_session()
    for n in range(BATCH_ROWS + 1):
        desk.deliveries.add(session, an_outcome(n))
    assert [len(message.rows) for message in desk.flush()] == [BATCH_ROWS, 1]
    desk.deliveries.received(session, ((0, BATCH_ROWS),))
    for n in range(40):
        desk.deliveries.add(session, an_outcome(n, bytes(INLINE_BYTES)))
    assert max(len(message.rows) for message in desk.flush()) <= 17
    desk.deliveries.received(session, ((0, 40),))
    for n in range(40):
        desk.deliveries.add(session, an_outcome(n, b"", {"stdout": "x" * 1024 * 1024}))
    assert max(len(message.rows) for message in desk.flush()) <= 2
    desk.deliveries.received(session, ((0, 40),))
    monkeypatch.setattr(module, "MAX_FRAMES", 100)
    for n in range(40):
        desk.deliveries.add(session, an_outcome(n, (b"x",) * 30))
    assert max(len(message.frames) for message in desk.flush()) <= 100
    assert MAX_FRAMES > 100


def test_payloads_arrive_whole(desk: Desk) -> None:
    """Small ones in the row, large ones in frames of the message."""
    session = a_session()
    payloads = [b"small", (b"one", b"two"), bytes(INLINE_BYTES + 1), (b"three",)]
    for n, payload in enumerate(payloads):
        desk.deliveries.add(session, an_outcome(n, payload))
    [message] = desk.flush()
    arrived = [resolve(row[2], message.frames) for row in message.rows]
    assert arrived == [b"small", (b"one", b"two"), (bytes(INLINE_BYTES + 1),), (b"three",)]


def test_dropping_a_session_forgets_everything(desk: Desk) -> None:
    """What was sent and what was not; the ids are told."""
    session = a_session()
    desk.deliveries.add(session, an_outcome(1))
    desk.flush()
    desk.deliveries.add(session, an_outcome(2))
    assert sorted(o[0] for o in desk.deliveries.drop(session)) == [1, 2]
    assert desk.deliveries.drop(session) == []
    assert desk.flush() == []
    assert len(desk.deliveries) == 0




def test_an_ended_session_is_noticed(desk: Desk) -> None:
    """`check` fails when results are kept for nobody."""
    session: Session = a_session()
    desk.deliveries.add(session, an_outcome(1))
    session.ended = True
    with pytest.raises(AssertionError):
        desk.deliveries.check()


def test_a_second_result_of_an_id_is_none(desk: Desk) -> None:
    """Neither while the first waits, nor once it is sent, nor when it is to be sent again."""
    session = a_session()
    for _ in range(2):
        desk.deliveries.add(session, an_outcome(1, b"first"))
    assert desk.ids() == [1]
    desk.deliveries.add(session, an_outcome(1, b"second"))
    assert desk.ids() == []
    desk.deliveries.send_again(session)
    desk.deliveries.add(session, an_outcome(1, b"second"))
    [message] = desk.flush()
    assert [row[2] for row in message.rows] == [b"first"]
    assert [o[0] for o in desk.deliveries.received(session, ((1, 1),))] == [1]
    assert len(desk.deliveries) == 0


def test_a_client_that_does_not_read_is_behind_until_it_has_caught_up(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All bytes count, output too; a client that comes back has to read all of it once more."""
    size = INLINE_BYTES + 1
    monkeypatch.setattr(module, "WINDOW_BYTES", 3 * size)
    monkeypatch.setattr(module, "BEHIND_BYTES", 11 * size)
    session, other = a_session(), a_session()
    for number in range(6):
        assert not desk.deliveries.behind
        desk.deliveries.add(session, an_outcome(number, bytes(size), {"stdout": "x" * size}))
        desk.flush()
    desk.deliveries.add(other, an_outcome(1))
    desk.flush()
    assert set(desk.deliveries.behind) == {session}
    desk.deliveries.send_again(session)
    desk.flush()
    assert set(desk.deliveries.behind) == {session}
    desk.deliveries.received(session, ((0, 1),))
    desk.flush()
    assert set(desk.deliveries.behind) == {session}, "some wait still"
    for _ in range(3):
        desk.deliveries.received(session, ((0, 9),))
        desk.flush()
    assert not desk.deliveries.behind


def test_a_client_with_little_room_gets_no_more_than_it_has_room_for(desk: Desk) -> None:
    """It says so, and is behind sooner; what is larger than its window goes alone."""
    session = a_session()
    session.window = 4 * INLINE_BYTES
    for n in range(3 * module.BEHIND):
        desk.deliveries.add(session, an_outcome(n, (bytes(2 * INLINE_BYTES),)))
    desk.deliveries.add(session, an_outcome(100, (bytes(20 * INLINE_BYTES),)))

    got: list[int] = []
    assert desk.ids() == [0, 1]
    assert set(desk.deliveries.behind) == {session}
    for n in range(0, 3 * module.BEHIND, 2):
        desk.deliveries.received(session, ((n, n + 1),))
        got += desk.ids()
    assert got == [*range(2, 3 * module.BEHIND), 100]
    desk.deliveries.received(session, ((100, 100),))
    assert not desk.deliveries.behind
