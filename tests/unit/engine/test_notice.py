"""When engines are told to finish, and when their time is over."""

from __future__ import annotations

import pytest

from ctrlhub.engine.notice import ALONE, LOOK, MARGIN, Notice

UNIX = 1_700_000_000.0


def test_without_an_end_nobody_is_told() -> None:
    """Not before somebody asks for it."""
    notice = Notice(25.0, None, UNIX, 100.0)

    assert not notice.is_to_be_given(1e9)
    assert not notice.is_over(1e9)
    assert not notice.is_in_vain(False, 1e9)


def test_the_end_of_a_job_is_known_before() -> None:
    """Engines have their time, and what is stopped then a moment."""
    notice = Notice(25.0, UNIX + 1000.0, UNIX, 100.0)
    due = 100.0 + 1000.0 - MARGIN - 25.0

    assert notice.due(0.0) == due
    assert not notice.is_to_be_given(due - 0.1)
    assert notice.is_to_be_given(due)
    assert notice.give(due) == due + 25.0
    assert not notice.is_to_be_given(due)
    assert not notice.is_over(due + 24.9)
    assert notice.is_over(due + 25.0)


@pytest.mark.parametrize(
    ("asked", "over"), [(100.0, 125.0), (900.0, 925.0), (1040.0, 1098.0), (1090.0, 1098.0), (2000.0, 2000.0)]
)
def test_who_asks_early_has_the_same_time(asked: float, over: float) -> None:
    """But never more than there is; near the end of the job, of which a scheduler warns, all of that."""
    notice = Notice(25.0, UNIX + 1000.0, UNIX, 100.0)

    assert notice.give(asked) == over


def test_without_a_hub_they_finish_in_vain() -> None:
    """One that is started again in a moment is waited for; it is looked for all the time."""
    notice = Notice(25.0, None, UNIX, 0.0)
    notice.give(10.0)

    assert not notice.is_in_vain(True, 10.0)
    assert not notice.is_in_vain(False, 11.0)
    assert notice.due(11.0) == 11.0 + LOOK
    assert not notice.is_in_vain(True, 12.0)
    assert not notice.is_in_vain(False, 13.0)
    assert not notice.is_in_vain(False, 13.0 + ALONE - 0.1)
    assert notice.is_in_vain(False, 13.0 + ALONE)
