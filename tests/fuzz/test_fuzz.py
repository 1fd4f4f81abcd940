"""The short form of `make fuzz`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.fuzz.__main__ import report
from tests.fuzz.run import fuzz
from tests.support.state import own_state

SECONDS = 20.0


def test_a_hub_under_attack(
    tmp_path: Path, record_testsuite_property: Callable[[str, object], None]
) -> None:
    """Whatever strangers and peers with keys say, the others are served, and the hub does not grow."""
    with own_state(tmp_path):
        outcome = fuzz(11, SECONDS, lambda line: None)
    story = "\n".join(report(outcome))
    record_testsuite_property("fuzz", story)
    assert outcome.problems == [], story
    assert outcome.failures == [], story
    assert outcome.said > 200, story
    assert outcome.refused > 50, story
    assert outcome.rounds > 3, story
