"""The short form of `make chaos`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.chaos.__main__ import report
from tests.chaos.plan import Kind, make_plan
from tests.chaos.run import run
from tests.chaos.site import Size
from tests.support.state import own_state

SECONDS = 12.0

COUNTS = {Kind.KILL_HUB: 2, Kind.KILL_ENGINE: 3, Kind.KILL_CLIENT: 1, Kind.CUT: 1, Kind.STOP_ENGINE: 1}


def test_nothing_is_lost(
    tmp_path: Path, record_testsuite_property: Callable[[str, object], None]
) -> None:
    """Hub, engines and clients are killed, stopped and cut off under load; nothing is lost or doubled."""
    plan = make_plan(5, SECONDS, {kind: COUNTS.get(kind, 0) for kind in Kind})
    with own_state(tmp_path / "state"):
        chaos, verdict, settled = run(plan, Size(tasks=1200, ahead=100), tmp_path)
    story = "\n".join(report(chaos, verdict, settled))
    record_testsuite_property("chaos", story)
    assert settled, story
    assert verdict.problems() == [], story
    assert len(chaos.struck) > len(COUNTS), story
    assert verdict.submitted == 1200, story
