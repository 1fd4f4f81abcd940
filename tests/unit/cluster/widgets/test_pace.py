"""When a widget looks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.cluster.widgets.pace import Pace


def test_nobody_sees_it() -> None:
    """A widget that nobody sees never looks, unless something happens: then once."""
    pace = Pace(1.0)
    assert pace.wait(0.0) is None
    pace.nudge()
    assert pace.wait(5.0) == 0.0
    pace.looking(5.0)
    assert pace.wait(5.0) is None


def test_it_is_seen() -> None:
    """While it is seen it looks each second, and at once when it is put in a further place."""
    pace = Pace(1.0)
    pace.shown(1)
    assert pace.wait(10.0) == 0.0
    pace.looking(10.0)
    assert pace.wait(10.25) == 0.75
    pace.shown(2)
    assert pace.wait(10.25) == 0.0
    pace.looking(10.25)
    pace.shown(1)
    assert pace.wait(10.5) == 0.75
    assert pace.wait(99.0) == 0.0
    pace.shown(0)
    assert pace.wait(99.0) is None


def test_what_happens_during_a_look() -> None:
    """What happens while it looks may not have been seen: it looks again."""
    pace = Pace(1.0)
    pace.nudge()
    pace.looking(1.0)
    pace.nudge()
    assert pace.wait(1.0) == 0.0


@given(st.lists(st.sampled_from(("shown", "hidden", "nudge", "look"))), st.floats(0, 100))
def test_the_end_is_final(steps: list[str], now: float) -> None:
    """After the end there is no look, whatever happened before or happens then."""
    pace = Pace(1.0)
    for where in (steps, ["end"], steps):
        for step in where:
            match step:
                case "shown" | "hidden":
                    pace.shown(int(step == "shown"))
                case "nudge":
                    pace.nudge()
                case "look":
                    pace.looking(now)
                case _:
                    pace.end()
    assert pace.is_over
    assert pace.wait(now) is None
