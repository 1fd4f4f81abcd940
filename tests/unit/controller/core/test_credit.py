"""A client is sent as much of the logs as it takes in."""

from __future__ import annotations

from ctrlhub.controller.core.credit import FIRST_TRIAL, LONGEST_TRIAL, WINDOW, Credit


def filled(now: float = 0.0) -> Credit:
    """Credit that is used up."""
    credit = Credit()
    assert [credit.take(1, now) for _ in range(WINDOW)] == list(range(1, WINDOW + 1))
    return credit


def test_beyond_the_window_records_are_left_out() -> None:
    """And counted, until the client has taken some in."""
    credit = filled()
    assert [credit.take(3, 0.1), credit.take(4, 0.2), credit.dropped] == [0, 0, 7]

    credit.received(2)
    assert [credit.take(1, 0.3), credit.take(1, 0.3), credit.take(1, 0.3)] == [
        WINDOW + 1,
        WINDOW + 2,
        0,
    ]


def test_a_silent_client_is_tried_now_and_then() -> None:
    """Ever more rarely: what it would have to acknowledge may be lost."""
    credit, now, tries = filled(), 0.0, []
    while now < 1000.0:
        if credit.take(1, now):
            tries.append(now)
        now += 0.5

    assert tries[0] == FIRST_TRIAL
    assert tries[-1] - tries[-2] == LONGEST_TRIAL

    credit.received(WINDOW + len(tries))
    assert [bool(credit.take(1, now)) for _ in range(WINDOW + 1)] == [True] * WINDOW + [False]


def test_a_client_cannot_take_in_what_it_was_not_sent() -> None:
    """Whatever it says."""
    credit = filled()
    for number in (WINDOW + 1, 1 << 40, -1, 0):
        credit.received(number)
    assert credit.take(1, 0.1) == 0
