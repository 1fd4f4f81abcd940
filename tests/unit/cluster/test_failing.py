"""Whether to order engines again whose jobs fail."""

from __future__ import annotations

from ctrlhub.cluster.failing import ATTEMPTS, STEADY, Failing


def test_each_order_is_later_than_the_one_before_and_then_there_is_none() -> None:
    """One failure counts once, however often it is told."""
    failing, now, pauses = Failing(), 0.0, []
    assert failing.may_order(now)
    for number in range(ATTEMPTS):
        failing.failed(f"job {number}", 0.5, "it is broken", now)
        failing.failed(f"job {number}", 0.5, "it is broken", now + 0.5)
        pause = 0.0
        while not failing.may_order(now + pause):
            pause += 0.5
        pauses.append(pause)
        now += pause
    assert pauses == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0]
    failing.failed("the last", 0.5, "it is broken", now)
    assert not failing.may_order(1e9)
    failing.enough()
    assert failing.why == "given up, it failed 7 times in a row: it is broken"


def test_what_has_worked_was_well() -> None:
    """Its failure is a first one, and forgotten when there are engines enough."""
    failing = Failing()
    for number in range(3 * ATTEMPTS):
        failing.failed(f"job {number}", STEADY, "its time was over", float(number))
        assert failing.may_order(float(number))
    assert failing.why == "its time was over"
    failing.enough()
    assert failing.why == ""
