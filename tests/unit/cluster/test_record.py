"""What a supervisor leaves for whoever cleans up after it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ctrlhub.cluster.processes import KnownProcess
from ctrlhub.cluster.record import SupervisorRecord


def test_record_comes_back_as_it_was(tmp_path: Path) -> None:
    """What is written is what is read."""
    path = tmp_path / "supervisor.json"
    record = SupervisorRecord(7, 12.5, "node", {"hub": KnownProcess(8, "99")}, 4, "slurm", {"queue": "short"})

    record.write(path)

    assert SupervisorRecord.load(path) == record


def test_record_is_private(tmp_path: Path) -> None:
    """Nobody else learns what runs."""
    path = tmp_path / "supervisor.json"
    SupervisorRecord(7).write(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        "null",
        '{"pid": 1}',
        '{"pid": "x", "started": 0, "host": "", "processes": {}}',
        '{"pid": 1, "started": 0, "host": "", "processes": []}',
        '{"pid": 1, "started": 0, "host": "", "processes": {"hub": 3}}',
    ],
)
def test_what_is_no_record_is_none(text: str, tmp_path: Path) -> None:
    """A damaged record does not keep a cluster from being stopped or started."""
    path = tmp_path / "supervisor.json"
    path.touch(mode=0o600)
    path.write_text(text)

    assert SupervisorRecord.load(path) is None


def test_no_file_is_no_record(tmp_path: Path) -> None:
    """Without a supervisor there is none."""
    assert SupervisorRecord.load(tmp_path / "supervisor.json") is None
