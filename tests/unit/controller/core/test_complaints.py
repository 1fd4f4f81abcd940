"""What is refused is counted, and named once of each peer and reason."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.controller.core.complaints import BURST, MOST_KNOWN, PERIOD, Complaints, Line


def test_each_peer_is_named_once_for_each_reason() -> None:
    """What it does again is counted, and the next line says how much was left out."""
    complaints = Complaints()
    assert complaints.note("a", "code", 0.0) == Line(1, 0)
    assert complaints.note("a", "code", 0.0) is None
    assert complaints.note("a", "code", 99.0) is None
    assert complaints.note("a", "other", 99.0) == Line(4, 2)
    assert complaints.note("b", "code", 99.0) == Line(5, 0)
    assert complaints.total == 5


def test_ever_other_peers_do_not_fill_the_log() -> None:
    """After a burst one is named now and then, and those not named have their turn later."""
    complaints = Complaints()
    said = [bool(complaints.note(n, "code", 0.0)) for n in range(1000)]
    assert said == [True] * BURST + [False] * (1000 - BURST)
    assert complaints.note(999, "code", PERIOD) == Line(1001, 1000 - BURST)
    assert complaints.note(998, "code", PERIOD) is None


@given(st.lists(st.tuples(st.integers(0, 5000), st.floats(0, 100)), max_size=300))
def test_it_is_bounded_and_loses_no_count(given: list[tuple[int, float]]) -> None:
    """Whoever comes, whatever the clock says."""
    complaints = Complaints()
    lines = [complaints.note(who, "x", now) for who, now in given]
    assert complaints.total == len(given)
    named = [line for line in lines if line is not None]
    assert sum(line.unsaid + 1 for line in named) + complaints._unsaid == len(given)
    assert len(complaints._known) <= MOST_KNOWN
