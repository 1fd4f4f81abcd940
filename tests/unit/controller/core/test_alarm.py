"""Who asks the hub to come sooner."""

from __future__ import annotations

from ctrlhub.controller.core.alarm import NEVER, Alarm
from ctrlhub.controller.core.deadlines import Deadlines


def test_the_earliest_counts_until_all_were_looked_at() -> None:
    """A later one changes nothing; after a reset there is none."""
    alarm = Alarm()
    assert alarm.due == NEVER
    for due in (5.0, 3.0, 4.0):
        alarm.at(due)
    assert alarm.due == 3.0
    alarm.reset()
    assert alarm.due == NEVER


def test_each_deadline_that_is_set_is_told() -> None:
    """Also one that is set anew."""
    alarm = Alarm()
    deadlines: Deadlines[str] = Deadlines(alarm.at)
    deadlines.set("a", 7.0)
    assert alarm.due == 7.0
    deadlines.set("a", 6.0)
    assert alarm.due == 6.0
