"""The file of a process's log."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctrlhub.link.log_file import follow_log


def test_a_log_that_cannot_be_followed_ends_nobody(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Whose directory was removed, say: it is said where this process prints now, which engines have it for a parent."""
    follow_log(tmp_path / "gone" / "nanny.log")
    assert "this goes on in what was set aside: " in capfd.readouterr().err
