"""What engines that were started by hand leave for `ctrl-hub stop`."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from ctrlhub.cluster.nannies import NannyRecord, end_nannies, profile_of, recorded
from ctrlhub.cluster.processes import KnownProcess
from ctrlhub.wire.places import Profile


def test_a_nanny_is_known_while_it_runs(tmp_path: Path) -> None:
    """By pid and birth, in a private file that goes with it."""
    profile = Profile.named("p", tmp_path)
    profile.make()
    with recorded(profile):
        (path,) = profile.nannies.iterdir()
        record = NannyRecord.load(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    assert record is not None
    assert record.process == KnownProcess.find(os.getpid())
    assert list(profile.nannies.iterdir()) == []


def test_nobody_else_is_ended(tmp_path: Path) -> None:
    """A pid that was born at another time is another process: only the record goes."""
    profile = Profile.named("p", tmp_path)
    profile.make()
    with recorded(profile):
        (path,) = profile.nannies.iterdir()
        data = json.loads(path.read_text())
        data["process"]["birth"] = "1"
        path.write_text(json.dumps(data))

        assert end_nannies(profile, 0.0) == ([], [])
        assert not path.exists()


def test_nannies_of_other_hosts_are_left(tmp_path: Path) -> None:
    """Where hosts share a home, their pids mean nothing here."""
    profile = Profile.named("p", tmp_path)
    profile.make()
    with recorded(profile):
        (path,) = profile.nannies.iterdir()
        data = json.loads(path.read_text())
        data["host"] = "elsewhere"
        path.write_text(json.dumps(data))

        assert end_nannies(profile, 0.0) == ([], [])
        assert path.exists()


def test_a_nanny_belongs_to_the_profile_of_its_connection_file(tmp_path: Path) -> None:
    """Whatever profile was named; a copied file is of a hub elsewhere."""
    one, other = Profile.named("one", tmp_path), Profile.named("other", tmp_path)

    assert profile_of(other.connection_engine, one) == other
    assert profile_of(tmp_path / "copied" / "connection-engine.json", one) is None
