"""How sets of engines have ended, by what they have left."""

from __future__ import annotations

import os
from pathlib import Path

from ctrlhub.cluster.launchers.endings import newest_tail


def test_the_cause_is_told_and_not_how_the_job_says_goodbye(tmp_path: Path) -> None:
    """What a node or an engine wrote last; the job's own log where there is nothing else."""
    assert newest_tail(tmp_path) == ""
    written(tmp_path / "job.log", "module: not found", 3)
    written(tmp_path / "n1.log", "", 1)
    assert newest_tail(tmp_path) == "module: not found"
    written(tmp_path / "n1.log", "ImportError: numpy", 1)
    assert newest_tail(tmp_path) == "ImportError: numpy"
    written(tmp_path / "n1-77" / "engine-0.log", "Killed", 2)
    assert newest_tail(tmp_path) == "Killed"


def written(log: Path, text: str, when: float) -> None:
    """Write a log at a time."""
    log.parent.mkdir(exist_ok=True)
    log.write_text(text)
    os.utime(log, (when, when))
