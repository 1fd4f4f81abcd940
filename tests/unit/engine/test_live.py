"""When live output leaves, and how much: at once, then gathered, never more than is received."""

from __future__ import annotations

from ctrlhub.engine.capture import Capture
from ctrlhub.engine.live import FIRST_TRIAL, INTERVAL, LiveOutput
from ctrlhub.wire.limits import OUTPUT_MESSAGE_BYTES, OUTPUT_WINDOW
from ctrlhub.wire.messages import Output


def sent(live: LiveOutput, capture: Capture | None, now: float) -> list[Output]:
    """What leaves when it is due."""
    return list(live.messages(capture, now)) if now >= live.due else []


def filled(request: int, size: int) -> Capture:
    """The output of a request that has printed so much."""
    capture = Capture(request)
    capture.add_text("stdout", "x" * size)
    return capture


def test_the_first_leaves_at_once() -> None:
    """Numbered from 1."""
    live = LiveOutput()
    live.written(10.0)

    assert sent(live, filled(5, 3), 10.0) == [Output(5, 1, [("stdout", 0, "xxx")])]
    assert live.due == float("inf")


def test_what_follows_gathers_for_a_moment() -> None:
    """However often it is told."""
    live, capture = LiveOutput(), filled(5, 1)
    live.written(10.0)
    sent(live, capture, 10.0)

    for _ in range(3):
        capture.add_text("stdout", "y")
        live.written(10.01)

    assert sent(live, capture, 10.01) == []
    assert live.due == 10.0 + INTERVAL
    assert sent(live, capture, live.due) == [Output(5, 2, [("stdout", 1, "yyy")])]


def test_no_more_is_under_way_than_the_window() -> None:
    """Until the client has received some of it; what it says of another request means nothing."""
    live, capture = LiveOutput(), filled(5, OUTPUT_WINDOW + 2 * OUTPUT_MESSAGE_BYTES)
    live.written(10.0)

    first = sent(live, capture, 10.0)
    assert len(first) == OUTPUT_WINDOW // OUTPUT_MESSAGE_BYTES
    assert live.is_full
    live.received(6, 1000, 10.1)
    assert sent(live, capture, 10.2) == []

    live.received(5, 2, 10.3)
    assert len(sent(live, capture, 10.3 + INTERVAL)) == 2
    assert not capture.waits


def test_when_nothing_is_heard_a_single_message_is_tried() -> None:
    """After longer and longer pauses; once it is heard of, all goes on as before."""
    live, capture = LiveOutput(), filled(5, OUTPUT_WINDOW + 8 * OUTPUT_MESSAGE_BYTES)
    live.written(0.0)
    sent(live, capture, 0.0)

    assert live.due == FIRST_TRIAL
    trial = sent(live, capture, live.due)
    assert len(trial) == 1
    assert live.due == FIRST_TRIAL + 2 * FIRST_TRIAL

    live.received(5, trial[0].number, 2.0)
    assert len(sent(live, capture, 2.0 + INTERVAL)) == 7


def test_another_request_begins_anew() -> None:
    """With the whole window, and its own numbers, while the one before was not followed."""
    live = LiveOutput()
    live.written(0.0)
    sent(live, filled(5, 2 * OUTPUT_WINDOW), 0.0)

    live.written(0.5)
    assert sent(live, filled(6, 2), 0.5) == [Output(6, 1, [("stdout", 0, "xx")])]


def test_where_nothing_runs_nothing_leaves() -> None:
    """What a thread of user code prints then is nobody's."""
    live = LiveOutput()
    live.written(0.0)

    assert sent(live, None, 0.0) == []
    live.written(1.0)
    assert sent(live, filled(0, 3), 1.0) == []


def test_a_connection_that_was_lost_gives_its_window_back() -> None:
    """What was under way may be lost with it."""
    live, capture = LiveOutput(), filled(5, OUTPUT_WINDOW + 10)
    live.written(0.0)
    sent(live, capture, 0.0)

    live.lost(0.2)
    assert len(sent(live, capture, 0.2)) == 1
