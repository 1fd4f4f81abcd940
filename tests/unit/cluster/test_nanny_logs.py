"""Where the engines of a nanny that was started by hand write."""

from __future__ import annotations

import os
import platform
import stat
from pathlib import Path

from ctrlhub.cluster.nanny_logs import make_logs
from ctrlhub.wire.places import Profile

NOBODY = 2**31 - 1
"""A pid that no process has."""


def test_logs_stay_until_the_next_nanny_starts(tmp_path: Path) -> None:
    """Those of dead ones go; of living ones, of other hosts and of others than nannies they stay."""
    profile = Profile.named("p", tmp_path)
    profile.make()
    dead = f"nanny-{platform.node()}-{NOBODY}"
    stay = [f"nanny-{platform.node()}-{os.getppid()}", f"nanny-elsewhere-{NOBODY}", "nanny-x", "x"]
    for name in (dead, *stay):
        (profile.logs / name).mkdir()
        (profile.logs / name / "engine-0.log").write_text("last words")
    (profile.logs / "nanny.log").write_text("")

    mine = make_logs(profile)

    assert stat.S_IMODE(mine.stat().st_mode) == 0o700
    assert {path.name for path in profile.logs.iterdir()} == {*stay, mine.name, "nanny.log"}
    assert make_logs(profile) == mine
