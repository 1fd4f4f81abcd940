"""When live output leaves, and how much: at once, then gathered, never more than is received."""

from __future__ import annotations

from ctrlhub.engine.capture import Capture
from ctrlhub.engine.live import FIRST_TRIAL, INTERVAL, UNENDED, LiveOutput
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
    assert sent(live, capture, live.due) == [Output(5, 2, [("stdout", 1, "yyy")], after=1)]


def test_what_has_no_end_of_line_waits_a_moment_for_it() -> None:
    """And not for longer, nor longer than for what is complete."""
    live, capture = LiveOutput(), filled(5, 1)
    live.begun(10.0)
    assert live.due == 10.0 + UNENDED
    live.begun(10.1)
    assert sent(live, capture, 10.0 + UNENDED) == [Output(5, 1, [("stdout", 0, "x")])]

    capture.add_text("stdout", "y")
    live.begun(11.0)
    live.written(11.0)
    assert live.due == 11.0


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
    assert [(each.after, each.items[0][1]) for each in trial] == [(0, 0)]
    assert live.due == FIRST_TRIAL + 2 * FIRST_TRIAL

    live.received(5, trial[0].number, 2.0)
    rest = sent(live, capture, 2.0 + INTERVAL)
    assert len(rest) == OUTPUT_WINDOW // OUTPUT_MESSAGE_BYTES
    assert rest[0].after == trial[0].number
    assert rest[0].items[0][1] == OUTPUT_MESSAGE_BYTES


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


def numbers(messages: list[Output]) -> list[tuple[int, int, int]]:
    """What follows what, and from which position on."""
    return [(each.after, each.number, each.items[0][1]) for each in messages]


def test_what_was_under_way_is_said_again() -> None:
    """With what has come since, behind what the client is known to have."""
    live, capture = LiveOutput(), filled(5, 2 * OUTPUT_MESSAGE_BYTES)
    live.written(0.0)
    sent(live, capture, 0.0)
    live.received(5, 1, 0.1)
    capture.add_text("stdout", "more")

    live.lost(0.2)

    assert numbers(sent(live, capture, 0.2)) == [
        (1, 3, OUTPUT_MESSAGE_BYTES), (3, 4, 2 * OUTPUT_MESSAGE_BYTES)
    ]  # fmt: skip


def test_what_is_said_again_is_tried_until_it_is_heard_of() -> None:
    """The client may be back later than we are; then all goes on as before."""
    live, capture = LiveOutput(), filled(5, 10)
    live.written(0.0)
    sent(live, capture, 0.0)
    live.lost(0.2)
    assert numbers(sent(live, capture, 0.2)) == [(0, 2, 0)]

    for after, number in ((2.0, 3), (4.0, 4)):
        before = live.due
        assert numbers(sent(live, capture, live.due)) == [(0, number, 0)]
        assert live.due == before + after

    live.received(5, 4, 8.0)
    capture.add_text("stdout", "more")
    assert numbers(sent(live, capture, 8.0 + INTERVAL)) == [(4, 5, 10)]
    assert live.due == float("inf")


def test_output_that_goes_on_does_not_put_off_the_trial() -> None:
    """Nor does it make it come more often."""
    live, capture = LiveOutput(), filled(5, 10)
    live.written(0.0)
    sent(live, capture, 0.0)
    live.lost(1.0)
    sent(live, capture, 1.0)

    now = 1.0
    while now < 1.0 + FIRST_TRIAL - INTERVAL:
        now += INTERVAL
        capture.add_text("stdout", "y")
        live.written(now)
        assert [each.after for each in sent(live, capture, now)] != [0]
    assert live.due == 1.0 + FIRST_TRIAL
    assert numbers(sent(live, capture, live.due))[0][0] == 0


def test_a_client_asks_for_what_it_has_missed() -> None:
    """It gets what comes behind what it has; of another request it gets nothing."""
    live, capture = LiveOutput(), filled(5, 3 * OUTPUT_MESSAGE_BYTES)
    live.written(0.0)
    sent(live, capture, 0.0)

    live.missed(6, 1, 0.5)
    assert live.due == float("inf")
    live.missed(5, 1, 0.5)
    assert numbers(sent(live, capture, 0.5)) == [
        (1, 4, OUTPUT_MESSAGE_BYTES), (4, 5, 2 * OUTPUT_MESSAGE_BYTES)
    ]  # fmt: skip
    live.missed(5, -1, 0.7)
    assert numbers(sent(live, capture, 0.7))[0] == (1, 6, OUTPUT_MESSAGE_BYTES)


def test_a_client_that_knows_nothing_is_told_everything() -> None:
    """Another process has its session now: what the former one had received is said once more."""
    live, capture = LiveOutput(), filled(5, 2 * OUTPUT_MESSAGE_BYTES)
    live.written(0.0)
    sent(live, capture, 0.0)
    live.received(5, 2, 0.1)
    capture.add_text("stdout", "more")
    live.written(0.2)
    sent(live, capture, 0.2)

    live.missed(5, 0, 0.5)

    assert [each[2] for each in numbers(sent(live, capture, 0.5))] == [
        0, OUTPUT_MESSAGE_BYTES, 2 * OUTPUT_MESSAGE_BYTES
    ]  # fmt: skip
